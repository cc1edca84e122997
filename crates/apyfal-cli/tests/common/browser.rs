//! A real browser without a window, driven over WebDriver.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::Home;
use super::serve::Request;

/// A browser with one page, which ends with this.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
}

impl Browser {
    /// Starts one whose profile is in `home`.
    pub fn start(home: &Home) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", home.folder())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("chromedriver: {error}; 'cargo xtask test' installs what the tests need")
            });
        let lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        let mut lines = lines.map_while(Result::ok);
        let port = lines
            .find_map(|line| {
                line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver listens");
        // What else it says is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut browser = Self { driver, address, session: String::new() };
        let profile = format!("--user-data-dir={}", home.path("browser").display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &profile,
        ];
        let session = browser.call(
            "POST",
            "/session",
            &json!({"capabilities": {"alwaysMatch": {
                "browserName": "chrome",
                "goog:loggingPrefs": {"browser": "ALL"},
                "goog:chromeOptions": {"args": arguments},
            }}}),
        );
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    /// Opens a page.
    pub fn open(&self, url: &str) {
        self.command("/url", &json!({"url": url}));
    }

    /// The value of an expression of JavaScript in the page.
    pub fn value(&self, expression: &str) -> Value {
        self.command(
            "/execute/sync",
            &json!({"script": format!("return ({expression});"), "args": []}),
        )
    }

    /// The same where it is text.
    pub fn text(&self, expression: &str) -> String {
        self.value(expression).as_str().unwrap_or_default().to_owned()
    }

    /// Shows the page as a device does: of this width and height, with dark colours or not.
    pub fn device(&self, width: u32, height: u32, dark: bool) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1,
                "mobile": width < 600}),
        );
        let scheme = if dark { "dark" } else { "light" };
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
    }

    /// What the page's console has had to say since the last time.
    pub fn console(&self) -> Vec<String> {
        let entries = self.command("/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().expect("a list").iter();
        entries.map(|entry| entry["message"].to_string()).collect()
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        self.command("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}));
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("/session/{}{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let headers = [("Content-Type", "application/json")];
        let request = Request { method, path, headers: &headers, body: body.as_bytes() };
        let answer = request.send(self.address);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // With its session the browser ends, then its driver.
        if !std::thread::panicking() {
            self.call("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
