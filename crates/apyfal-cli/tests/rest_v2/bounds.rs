//! Requests that are too much.

use std::io::Read;

use super::*;

#[test]
fn more_jobs_than_may_wait_are_refused_for_now() {
    let server = Server::configured("[serve]\nmax_waiting = 1\n", &[]);
    let session = session(&server, "one_long");
    let submit = || job(&mut server.connect(), &session, &json!({"mode": "submit"}), b"x");
    let states: Vec<_> = (0..4).map(|_| submit()).collect();
    assert!(states.iter().all(|answer| answer.status == 202));
    let busy = common::server::until_some("one is refused", || {
        let answer = job(&mut server.connect(), &session, &json!({}), b"x");
        (answer.status == 429).then_some(answer)
    });
    assert_eq!(refused(&busy, 429), "busy");
    assert!(busy.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
}

#[test]
fn a_full_scratch_refuses_results_and_goes_on() {
    let server = Server::configured("[serve]\nscratch_quota = 1M\n", &[]);
    let session = session(&server, "null");
    let kept = json!({"id": "large"});
    let answer = job(&mut server.connect(), &session, &kept, &data(2_000_000));
    assert_eq!(refused(&answer, 507), "storage-full");
    let answer = job(&mut server.connect(), &session, &json!({"id": "small"}), b"x");
    assert_eq!(text(&answer), "x");
}

#[test]
fn what_is_no_request_is_told_so() {
    let server = Server::start();
    let session = session(&server, "null");
    let path = format!("/v2/sessions/{session}/jobs");
    for body in ["-1\r\nx\r\n0\r\n\r\n", "fffffffffffffffff\r\nx\r\n0\r\n\r\n"] {
        let mut connection = server.connect();
        let head = connection.head("POST", &path);
        connection.write(format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}").as_bytes());
        assert_eq!(refused(&connection.answer(), 400), "usage", "{body}");
    }
    let mut connection = server.connect();
    let head = connection.head("POST", &path);
    let list = "apyfal-request: [\"mine\"]\r\nContent-Length: 1\r\n\r\nx";
    connection.write(format!("{head}{list}").as_bytes());
    assert_eq!(refused(&connection.answer(), 400), "usage");
}

#[test]
fn a_value_from_outside_is_no_option_of_a_program() {
    let server = Server::configured(
        "[accelerator.say]\n\
         command = [\"printf\", \"%%s,%%s,%%s,%%s.\", \"{word}\", \"--name={name}\", \"--\", \"{last}\"]\n\
         parameters = {\"word\": \"x\", \"name\": \"y\", \"last\": \"z\"}\n\
         [accelerator.free]\n\
         command = [\"printf\", \"%%s\", \"{word}\"]\n\
         parameters = {\"word\": {\"type\": \"text\", \"leading_dash\": True}}\n",
        &[],
    );
    let run = |words: &str| {
        let path = format!("/v2/run/{words}");
        server.connect().post(&path, "application/octet-stream", b"")
    };
    assert_eq!(text(&run("say?name=-a&last=-b")), "x,--name=-a,--,-b.");
    assert_eq!(text(&run("free?word=-v")), "-v");
    for words in ["say?word=-v", "say?word=--", "say?name=a%00b", "free?word=-%00"] {
        assert_eq!(refused(&run(words), 400), "usage", "{words}");
    }
    assert!(text(&run("say?word=-v")).contains("'word' of say cannot begin with '-'"));
    let wrong = json!({"app": {"specific": {"word": "-v"}}});
    let start = json!({"accelerator": "say", "parameters": wrong.clone()}).to_string();
    let answer = server.connect().post("/v2/sessions", "application/json", start.as_bytes());
    assert_eq!(refused(&answer, 400), "usage");
    let session = session(&server, "say");
    let answer = job(&mut server.connect(), &session, &json!({"parameters": wrong}), b"");
    assert_eq!(refused(&answer, 400), "usage");
}

#[test]
fn who_never_reads_leaves_room_to_others() {
    let server = Server::configured("[serve]\nscratch_quota = 30M\n", &[]);
    let session = session(&server, "null");
    // Its result is of a length that only alone it may have.
    let sent = data(25_000_000);
    let begin = |connection: &mut Connection, length: usize| {
        send_job(connection, &session, &json!({"output": true}), length);
        connection.write(&sent[..length]);
        connection.answer_head()
    };
    let (mut never, mut late) = (server.connect(), server.connect());
    begin(&mut never, sent.len());
    let answer = begin(&mut late, 20_000_000);
    assert!(late.rest_of(&answer) == sent[..20_000_000]);
    // Once it reads it sees that it does not get all.
    let mut rest = Vec::new();
    let ended = never.reader().read_to_end(&mut rest);
    assert!(rest.len() < sent.len(), "{ended:?}");
}

#[test]
fn results_are_limited_in_number() {
    let server = Server::configured("[serve]\nmax_results = 2\n", &[]);
    let session = session(&server, "null");
    let keep = |id: &str| job(&mut server.connect(), &session, &json!({"id": id}), b"");
    assert_eq!([keep("one").status, keep("two").status], [200, 200]);
    let refusal = keep("three");
    assert_eq!(refused(&refusal, 507), "storage-full");
    assert!(text(&refusal).contains("max_results"), "{}", text(&refusal));
    // What is there is sent, and other jobs go on.
    assert_eq!(keep("one").status, 200);
    assert_eq!(job(&mut server.connect(), &session, &json!({}), b"x").body, b"x");
    let submitted = job(&mut server.connect(), &session, &json!({"mode": "submit"}), b"x");
    assert_eq!(refused(&submitted, 507), "storage-full");
    assert_eq!(server.connect().delete("/v2/jobs/one").status, 204);
    assert_eq!(keep("three").status, 200);
    let server = server.killed_and_started();
    let answer = job(&mut server.connect(), &session, &json!({"id": "four"}), b"");
    assert_eq!(refused(&answer, 507), "storage-full");
}

#[test]
fn heads_that_are_too_long_are_refused() {
    let server = Server::start();
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(300_000));
    for more in [many, long] {
        let mut connection = server.connect();
        let head = connection.head("GET", "/v2/host");
        connection.try_write(format!("{head}{more}\r\n").as_bytes());
        let status = connection.answer().status;
        assert!((400..500).contains(&status), "{status}");
    }
    assert_eq!(server.get("/v2/host").status, 200);
}

#[test]
fn unknown_places_and_methods_are_errors_in_our_form() {
    let server = Server::start();
    assert_eq!(refused(&server.get("/nothing/here"), 404), "not-found");
    assert_eq!(refused(&server.connect().bare("PATCH", "/v2/host", ""), 405), "usage");
    assert_eq!(refused(&server.get("/v2/jobs?page=x"), 400), "usage");
    assert_eq!(refused(&server.get("/v2/jobs/%ff"), 400), "usage");
    for wait in ["-1", "nan", "NaN", "inf", "-inf", "1e400"] {
        for path in ["/v2/jobs/none?wait=", "/v2/logs?wait="] {
            assert_eq!(refused(&server.get(&format!("{path}{wait}")), 400), "usage", "{wait}");
        }
    }
    assert_eq!(refused(&server.get("/v2/jobs/none?wait=1e300"), 404), "not-found");
}

#[test]
fn what_is_coded_is_refused_everywhere() {
    let server = Server::start();
    let session = session(&server, "gzip");
    let ways = ["/v2/sessions", "/v2/run/gzip", &format!("/v2/sessions/{session}/jobs")];
    for path in ways {
        for (coding, status) in [("gzip", 415), ("br", 415), ("identity", 0)] {
            let mut connection = server.connect();
            let head = connection.head("POST", path);
            let head = format!("{head}Content-Encoding: {coding}\r\nContent-Length: 4\r\n\r\n");
            connection.write(head.as_bytes());
            connection.write(b"data");
            let answer = connection.answer();
            match status {
                0 => assert_ne!(answer.status, 415, "{}", text(&answer)),
                status => {
                    assert_eq!(refused(&answer, status), "usage", "{path}");
                    assert_eq!(answer.header("accept-encoding"), Some("identity"));
                }
            }
        }
        let mut connection = server.connect();
        let head = connection.head("POST", path);
        let head = format!("{head}Transfer-Encoding: gzip, chunked\r\n\r\n4\r\ndata\r\n0\r\n\r\n");
        connection.write(head.as_bytes());
        assert_eq!(refused(&connection.answer(), 501), "usage", "{path}");
    }
    // REST v1.0 says so in its own form.
    for path in ["/gzip/v1.0/configuration/", "/gzip/v1.0/process/"] {
        let mut connection = server.connect();
        let head = connection.head("POST", path);
        let more = "Content-Encoding: gzip\r\nContent-Type: multipart/form-data; boundary=b\r\n";
        connection.write(format!("{head}{more}Content-Length: 4\r\n\r\ndata").as_bytes());
        let message = connection.answer().refused(415);
        assert!(message.contains("'gzip'"), "{message}");
    }
}

#[test]
fn a_form_is_no_data() {
    let server = Server::start();
    let kind = "multipart/form-data; boundary=b";
    let part = |name: &str, more: &str, content: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n{more}\r\n{content}\r\n")
    };
    let form = format!("{}--b--\r\n", part("file", "", "text"));
    let answer = server.connect().post("/v2/run/gzip", kind, form.as_bytes());
    assert_eq!(refused(&answer, 415), "usage");
    assert!(text(&answer).contains("curl -T"), "{}", text(&answer));
    // Nor is it one that has its request in a header, or in a coded part.
    let session = session(&server, "gzip");
    let path = format!("/v2/sessions/{session}/jobs");
    let mut connection = server.connect();
    let head = connection.head("POST", &path);
    let length = form.len();
    let head = format!(
        "{head}apyfal-request: {{}}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{form}"
    );
    connection.write(head.as_bytes());
    assert_eq!(refused(&connection.answer(), 400), "usage");
    let form =
        format!("{}--b--\r\n", part("data", "Content-Transfer-Encoding: base64\r\n", "dGV4dA=="));
    assert_eq!(refused(&server.connect().post(&path, kind, form.as_bytes()), 400), "usage");
    let form = format!("{}--b--\r\n", part("data", "", "text"));
    assert_eq!(server.connect().post(&path, kind, form.as_bytes()).status, 200);
}

#[test]
fn names_and_values_of_any_length_are_shown_and_remembered_in_part() {
    let server = Server::start();
    assert_eq!(server.run("fail", b"x").status, 502);
    let session = session(&server, "gzip");
    let jobs = format!("/v2/sessions/{session}/jobs");
    let long = "x".repeat(5_000_000);
    let specific = |name: &str, value: &str| json!({"app": {"specific": {name: value}}});
    for (path, request) in [
        (&*jobs, json!({"parameters": specific(&long, "1")})),
        (&*jobs, json!({"parameters": specific("level", &long)})),
        (&*jobs, json!({"parameters": specific(&long, "1"), "id": "named"})),
        (&*jobs, json!({"parameters": specific("level", &long), "id": "valued"})),
        (&*jobs, json!({"src": format!("{long}://x")})),
        (&*jobs, json!({"src": format!("http://127.0.0.1/{long}"), "id": "linked"})),
        (&*jobs, json!({"id": long})),
        (&*jobs, json!({long.clone(): 1})),
        (&*jobs, json!({"mode": long})),
        ("/v2/sessions", json!({"accelerator": long})),
        ("/v2/sessions", json!({"accelerator": "gzip", "parameters": specific(&long, "1")})),
    ] {
        let body = request.to_string();
        let answer = server.connect().post(path, "application/json", body.as_bytes());
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        assert!(answer.body.len() < 2000, "{} bytes", answer.body.len());
    }
    let name = "n".repeat(50_000);
    for path in [
        format!("/v2/accelerators/{name}"),
        format!("/v2/run/{name}"),
        format!("/v2/jobs/{name}"),
        format!("/v2/jobs/{name}/result"),
        format!("/v2/sessions/{name}"),
        format!("/{name}"),
        format!("/{name}/v1.0/configuration/"),
        format!("/v1.0/configuration/{name}"),
    ] {
        let answer = server.get(&path);
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        assert!(answer.body.len() < 2000, "{} bytes", answer.body.len());
    }
    // What is called so is run all the same.
    let names = json!({"input_name": long, "output_name": long}).to_string();
    let form = |name: &str, content: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    };
    let form = form("request", &names) + &form("data", "data") + "--b--\r\n";
    let kind = "multipart/form-data; boundary=b";
    assert_eq!(server.connect().post(&jobs, kind, form.as_bytes()).status, 200);

    let log = server.get("/v2/logs");
    assert!(text(&log).contains("broken device"), "what was said before is there still");
    assert!(log.body.len() < 200_000 && server.log().len() < 200_000, "{}", log.body.len());
    // Asking for an unknown job writes what waits.
    assert_eq!(server.get("/v2/jobs/none").status, 404);
    for file in ["journal.db", "journal.db-wal"] {
        let file = server.home().path(&format!(".apyfal/host/{file}"));
        let len = file.metadata().map_or(0, |found| found.len());
        assert!(len < 2_000_000, "{}: {len}", file.display());
    }
}
