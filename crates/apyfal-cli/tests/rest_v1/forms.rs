//! Forms as other clients write them, and forms that are wrong.

use serde_json::json;

use crate::client::{Client, app, none, process_parameters, start_parameters, text};
use crate::common::server::Server;
use crate::form::Form;

/// Data that looks like the end of a part all the time.
const LOOKALIKE: &[u8] = b"\r\n--4b9c1f0fa9d24a6c9ff7a6a5ad7f9b3\r\n--\r\n\n--4b9c\r--4b9c1f0fa9d24a6c9ff7a6a5ad7f9b3e\n\r\n";

struct Ready {
    server: Server,
    client: Client,
    url: String,
}

fn ready() -> Ready {
    let server = Server::start();
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    Ready { server, client, url }
}

impl Ready {
    fn whole_form(&self) -> Form {
        Form::new()
            .parameters(&process_parameters(none()))
            .text("configuration", &self.url)
            .data(LOOKALIKE)
    }

    /// Sends this form, which must give its data back.
    fn gives(&mut self, form: &Form, data: &[u8]) {
        let sent = self.client.post("process/", form).well();
        let told = self.client.ended(&sent);
        assert_eq!(app(&told)["status"], 0, "{told}");
        assert_eq!(self.client.result(&told), data);
        self.client.delete(&told);
    }

    /// Sends a body, which must be refused without harm: the host goes on with the next client.
    fn refuses(&mut self, statuses: &[u16], kind: &str, body: &[u8]) -> String {
        let mut client = Client::new(&self.server);
        let answer = client.connection.post("/v1.0/process/", kind, body);
        assert!(statuses.contains(&answer.status), "{answer:?}");
        let message = answer.refused(answer.status);
        self.gives(&self.whole_form(), LOOKALIKE);
        message
    }
}

#[test]
fn parts_come_in_any_order() {
    let mut ready = ready();
    let form = ready.whole_form();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        ready.gives(&form.clone().ordered(&order), LOOKALIKE);
    }
    let start = Form::new().data(b"a,b\n").parameters(&start_parameters(none()));
    let started = ready.client.connection.post(
        "/hyperfire/v1.0/configuration/",
        &start.kind(),
        &start.body(),
    );
    assert_eq!(app(&started.well())["status"], 0);
}

#[test]
fn boundaries_may_be_odd() {
    let mut ready = ready();
    let long = "7".repeat(70);
    for (boundary, quoted) in [
        ("x", false),
        (&*long, false),
        ("----WebKitFormBoundary7MA4YWxkTrZu0gW", false),
        ("------------------------d74496d66958873e", false),
        ("'()+_,-./:=?", true),
        ("gc0p4Jq0M:2Yt08jU534c0p", true),
        ("==simple==", true),
    ] {
        let form = ready.whole_form().boundary(boundary, quoted);
        ready.gives(&form, LOOKALIKE);
    }
    let form = ready.whole_form();
    let body = form.body();
    let boundary = form.kind().split('=').nth(1).unwrap().to_owned();
    for kind in [
        format!("Multipart/Form-Data; boundary={boundary}"),
        format!("multipart/form-data;charset=utf-8; Boundary=\"{boundary}\""),
        format!("multipart/form-data;boundary={boundary}; charset=utf-8"),
    ] {
        let sent = ready.client.connection.post("/v1.0/process/", &kind, &body).well();
        let told = ready.client.ended(&sent);
        assert_eq!(ready.client.result(&told), LOOKALIKE, "{kind}");
    }
}

#[test]
fn headers_of_parts_may_be_odd() {
    let mut ready = ready();
    let parameters = process_parameters(none()).to_string();
    let data = "\0\u{1}\r\r\n\n";
    for disposition in [
        "Content-Disposition: form-data; name=\"datafile\"; filename=\"src\"",
        "content-disposition: form-data; name=\"datafile\"; filename=\"a \\\"quoted\\\" name; x.txt\"",
        "CONTENT-DISPOSITION: form-data; filename=\"x=y; name=z\"; name=\"datafile\"",
        "Content-Disposition: form-data; name=\"datafile\"; filename=\"na\u{ef}ve \u{1f600}.bin\"",
        "Content-Disposition: form-data; name=\"datafile\"; filename=\"\"",
        "Content-Disposition: form-data; name=\"datafile\"",
        "Content-Type: text/plain; charset=utf-8\r\nX-More: 1\r\nContent-Disposition: form-data; name=\"datafile\"; filename=\"../../etc/passwd\"",
    ] {
        let form = Form::new()
            .part("Content-Type: application/json\r\nContent-Disposition: form-data; name=\"parameters\"", parameters.as_bytes())
            .part("Content-Disposition: form-data; name=\"configuration\"; filename=\"x\"", ready.url.as_bytes())
            .part(disposition, data.as_bytes());
        ready.gives(&form, data.as_bytes());
    }
}

#[test]
fn what_stands_around_the_form_does_not_count() {
    let mut ready = ready();
    let form = ready.whole_form();
    let body = [b"preamble\r\n", &form.body()[..], b"epilogue"].concat();
    let sent = ready.client.connection.post("/v1.0/process/", &form.kind(), &body).well();
    let told = ready.client.ended(&sent);
    assert_eq!(ready.client.result(&told), LOOKALIKE);
}

#[test]
fn parts_that_nobody_knows_are_named() {
    let mut ready = ready();
    for order in [[0, 1, 2, 3], [3, 0, 1, 2]] {
        let form = ready.whole_form().text("paramters", "{}").ordered(&order);
        let message = ready.refuses(&[400], &form.kind(), &form.body());
        assert!(message.contains("'paramters'"), "{message}");
    }
}

#[test]
fn a_configuration_is_named_by_any_url_of_it() {
    let mut ready = ready();
    let path = ready.client.path_of(&ready.url);
    let slashed = format!("{}/", ready.url);
    for url in [&*path, &slashed, &format!("https://elsewhere.example{path}")] {
        let form = Form::new().parameters(&process_parameters(none())).text("configuration", url);
        ready.gives(&form.data(b"data"), b"data");
    }
    for url in
        ["", "x", "/v1.0/process/1", "/v1.0/configuration/999", "/v1.0/configuration/", "\u{0}"]
    {
        let form = Form::new().parameters(&process_parameters(none())).text("configuration", url);
        let form = form.data(b"data");
        ready.client.post("process/", &form).refused(404);
    }
}

#[test]
fn parts_that_are_missing_or_come_twice_are_named() {
    let mut ready = ready();
    let parameters = process_parameters(none());
    let form = Form::new().text("configuration", &ready.url).data(b"x");
    let message = ready.refuses(&[400], &form.kind(), &form.body());
    assert!(message.contains("'parameters'"), "{message}");
    let form = Form::new().parameters(&parameters).data(b"x");
    let message = ready.refuses(&[400], &form.kind(), &form.body());
    assert!(message.contains("'configuration'"), "{message}");
    let form = ready.whole_form().parameters(&parameters);
    let message = ready.refuses(&[400], &form.kind(), &form.body());
    assert!(message.contains("'parameters'"), "{message}");
    let form = ready.whole_form().data(b"x");
    let message = ready.refuses(&[400], &form.kind(), &form.body());
    assert!(message.contains("'datafile'"), "{message}");
}

#[test]
fn what_is_no_form_is_refused() {
    let mut ready = ready();
    let form = ready.whole_form();
    let body = form.body();
    ready.refuses(&[415], "application/json", b"{}");
    ready.refuses(&[415], "application/x-www-form-urlencoded", b"parameters=1");
    ready.refuses(&[400, 415], "multipart/form-data", &body);
    ready.refuses(&[400, 415], "multipart/form-data; boundary=", &body);
    ready.refuses(&[400], "multipart/form-data; boundary=other", &body);
    ready.refuses(&[400], &form.kind(), b"");
    ready.refuses(&[400], &form.kind(), b"\0\0\0\0");
    // Its end is missing, in the middle of the data and of the parts before it.
    for len in [body.len() - 30, 300, 200, 40] {
        ready.refuses(&[400], &form.kind(), &body[..len]);
    }
    ready.refuses(
        &[400],
        &form.kind(),
        &[b"--4b9c1f0fa9d24a6c9ff7a6a5ad7f9b3e\r\nno header\r\n\r\nx", &body[..]].concat(),
    );
}

#[test]
fn forms_are_bounded() {
    let mut ready = ready();
    let large = vec![b' '; 17 << 20];
    let form = Form::new().part("Content-Disposition: form-data; name=\"parameters\"", &large);
    let message = ready.refuses(&[413], &form.kind(), &form.body());
    assert!(message.contains("'parameters'"), "{message}");
    let form = Form::new().parameters(&process_parameters(none()));
    let form =
        form.part("Content-Disposition: form-data; name=\"configuration\"", &vec![b'/'; 1 << 20]);
    ready.refuses(&[400, 413], &form.kind(), &form.body());
    let mut form = ready.whole_form();
    for index in 0..2000 {
        form = form.text(&format!("p{index}"), "");
    }
    ready.refuses(&[400, 413], &form.kind(), &form.body());
    let headers =
        format!("Content-Disposition: form-data; name=\"x\"\r\nX-Long: {}", "y".repeat(1 << 20));
    let form = Form::new().part(&headers, b"");
    ready.refuses(&[400, 413, 431], &form.kind(), &form.body());
    let mut headers = "Content-Disposition: form-data; name=\"x\"".to_owned();
    for index in 0..1000 {
        headers += &format!("\r\nX-{index}: y");
    }
    let form = Form::new().part(&headers, b"");
    ready.refuses(&[400, 413, 431], &form.kind(), &form.body());
}

#[test]
fn parameters_that_are_no_parameters_fail_and_harm_nobody() {
    let mut ready = ready();
    let deep = format!("{{\"app\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let wrong = json!({"app": {"specific": [1]}}).to_string();
    for parameters in
        ["", "{", "[]", "\u{feff}{}", "null", "\"x\"", "{]}", "{\"app\": 1}", &wrong, &deep]
    {
        for (path, form) in [
            ("configuration/", Form::new().text("parameters", parameters)),
            (
                "process/",
                Form::new()
                    .text("parameters", parameters)
                    .text("configuration", &ready.url)
                    .data(b"x"),
            ),
        ] {
            let answer = ready.client.post(path, &form);
            if !(parameters.starts_with('{') && parameters.ends_with('}')) {
                answer.refused(400);
                continue;
            }
            let told = answer.well();
            assert_ne!(app(&told)["status"], 0, "{parameters}: {told}");
            assert!(told["parameters"].is_object(), "{told}");
        }
    }
    ready.gives(&ready.whole_form(), LOOKALIKE);
    // Numbers that no engine can take are still only wrong parameters.
    let form = Form::new().text("parameters", "{\"app\": {\"specific\": {\"x\": 1e999}}}");
    let answer = ready.client.post("configuration/", &form);
    assert!(answer.status == 400 || app(&answer.told())["status"] != 0, "{answer:?}");
}
