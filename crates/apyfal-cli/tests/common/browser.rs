//! A real browser without a window, driven over WebDriver.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Home;
use super::http::Connection;
use super::server::until;

/// A browser with one page, which ends with this.
pub struct Browser {
    driver: Child,
    address: String,
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
                line.split_once("successfully on port ")?
                    .1
                    .trim_end_matches('.')
                    .parse::<u16>()
                    .ok()
            })
            .expect("chromedriver listens");
        // What else it says is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let address = format!("127.0.0.1:{port}");
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

    /// Waits until an expression is true.
    pub fn until(&self, what: &str, expression: &str) {
        until(what, || self.value(expression).as_bool() == Some(true));
    }

    /// Keeps a picture of the whole page, where somebody wants to look at it: as `NAME.png` in the
    /// directory that `APYFAL_SHOTS` names.
    pub fn shot(&self, name: &str) {
        let Some(folder) = std::env::var_os("APYFAL_SHOTS") else { return };
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.devtools("Page.captureScreenshot", &whole);
        let picture =
            STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64");
        let path = Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(path, picture).expect("a written picture");
    }

    /// What the page's console has had to say since the last time.
    pub fn console(&self) -> Vec<String> {
        let entries = self.command("/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().expect("a list").iter();
        entries.map(|entry| entry["message"].to_string()).collect()
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.call(&format!("/session/{}{path}", self.session), body)
    }

    fn call(&self, path: &str, body: &Value) -> Value {
        let mut connection = Connection::open(&self.address);
        let answer = connection.post(path, "application/json", body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{path}: {}", super::text(&answer.body));
        answer.json()["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // With its session the browser ends, then its driver.
        if !std::thread::panicking() {
            Connection::open(&self.address).delete(&format!("/session/{}", self.session));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
