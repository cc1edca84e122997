//! Whose jobs are: tokens with names, and users of the machine.

use super::*;

const OWN: &str = "an-example-of-a-token-that-is-long-enough-0123456789";

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A host that asks for a token on loopback too.
fn host(configuration: &str) -> Server {
    let home = common::Home::new();
    home.write("token", format!("{OWN}\n"));
    let file = home.path("token").to_string_lossy().into_owned();
    Server::in_home(home, configuration, &["--token-file", &file])
}

/// What a host answers to who shows a token.
fn asked(server: &Server, method: &str, path: &str, token: &str) -> Answer {
    server.connect().bare(method, path, &bearer(token))
}

fn made(server: &Server, name: &str) -> String {
    let answer = asked(server, "POST", &format!("/v2/tokens?name={name}"), OWN);
    assert_eq!(answer.status, 201, "{}", text(&answer));
    answer.json()["token"].as_str().unwrap().to_owned()
}

/// Runs a job by a token; returns its id.
fn ran(connection: &mut Connection, token: &str) -> String {
    let head = connection.head("POST", "/v2/run/null");
    connection.write(format!("{head}{}Content-Length: 1\r\n\r\nx", bearer(token)).as_bytes());
    let answer = connection.answer();
    assert_eq!(answer.status, 200, "{}", text(&answer));
    answer.header("apyfal-job").unwrap().to_owned()
}

#[test]
fn each_token_says_whose_a_job_is_until_it_is_revoked() {
    let server = host("");
    let (anna, ben) = (made(&server, "anna"), made(&server, "ben.2"));
    let mut open = server.connect();
    let job = ran(&mut open, &anna);
    let other = ran(&mut server.connect(), OWN);
    let owner = |server: &Server, job: &str, token: &str| {
        let jobs = asked(server, "GET", "/v2/jobs", token).json();
        let jobs = jobs["jobs"].as_array().unwrap();
        jobs.iter().find(|listed| listed["id"] == job).map(|job| job["owner"].clone())
    };
    common::server::until("both are recorded", || {
        owner(&server, &job, &ben) == Some("anna".into())
            && owner(&server, &other, &ben) == Some("host".into())
    });

    let server = server.killed_and_started();
    assert_eq!(asked(&server, "GET", "/v2/host", &anna).status, 200, "it is remembered");
    let listed = asked(&server, "GET", "/v2/tokens", OWN).json();
    let names: Vec<_> = listed["tokens"].as_array().unwrap().iter().map(|t| &t["name"]).collect();
    assert_eq!(names, ["anna", "ben.2"]);
    // On a connection that is open already.
    let mut open = server.connect();
    ran(&mut open, &anna);
    assert_eq!(asked(&server, "DELETE", "/v2/tokens/anna", OWN).status, 200);
    let refused = open.bare("GET", "/v2/host", &bearer(&anna));
    assert_eq!((refused.status, asked(&server, "GET", "/v2/host", &ben).status), (401, 200));
    let server = server.killed_and_started();
    assert_eq!(asked(&server, "GET", "/v2/host", &anna).status, 401);
    // Only who got it ever saw it.
    for directory in [".apyfal/host", ".apyfal/host/sessions"] {
        for entry in std::fs::read_dir(server.home().path(directory)).unwrap() {
            let path = entry.unwrap().path();
            let held = std::fs::read(&path).unwrap_or_default();
            let found = held.windows(ben.len()).any(|window| window == ben.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
    assert!(!server.log().contains(&ben));
}

#[test]
fn tokens_are_managed_by_who_has_the_hosts_own() {
    let server = host("");
    let anna = made(&server, "anna");
    for (method, path) in
        [("GET", "/v2/tokens"), ("POST", "/v2/tokens?name=c"), ("DELETE", "/v2/tokens/anna")]
    {
        assert_eq!(refused(&asked(&server, method, path, &anna), 403), "security");
        assert_eq!(refused(&server.connect().bare(method, path, ""), 401), "authentication");
    }
    let add = |query: &str| asked(&server, "POST", &format!("/v2/tokens{query}"), OWN);
    assert_eq!(refused(&add("?name=anna"), 409), "conflict");
    for wrong in ["", "?name=", "?name=host", "?name=user:0", "?name=a%20b", "?name=%0a", "?nam=x"]
    {
        assert_eq!(refused(&add(wrong), 400), "usage", "{wrong}");
    }
    let none = asked(&server, "DELETE", "/v2/tokens/none", OWN);
    assert_eq!(refused(&none, 404), "not-found");
    // Who runs the host needs no token of it, where none is asked for.
    let open = Server::start();
    let answer = open.connect().bare("POST", "/v2/tokens?name=anna", "");
    assert_eq!(answer.status, 201, "{}", text(&answer));
}

#[test]
fn nobody_keeps_more_than_half_of_the_results_where_there_are_others() {
    let server = host("[serve]\nmax_results = 4\n");
    let keep = |token: &str, id: &str| {
        let mut connection = server.connect();
        let head = connection.head("POST", "/v2/sessions");
        let request = "apyfal-request: {\"accelerator\": \"null\"}\r\nContent-Length: 0\r\n\r\n";
        connection.write(format!("{head}{}{request}", bearer(token)).as_bytes());
        let session = connection.answer().json()["id"].as_str().unwrap().to_owned();
        let head = connection.head("POST", &format!("/v2/sessions/{session}/jobs"));
        let request = format!("apyfal-request: {{\"id\": \"{id}\"}}\r\nContent-Length: 1\r\n\r\nx");
        connection.write(format!("{head}{}{request}", bearer(token)).as_bytes());
        connection.answer()
    };
    let anna = made(&server, "anna");
    assert_eq!([keep(OWN, "a"), keep(OWN, "b")].map(|kept| kept.status), [200, 200]);
    let error = keep(OWN, "c");
    assert_eq!(refused(&error, 507), "storage-full");
    assert!(text(&error).contains("host has half of the room"), "{}", text(&error));
    assert_eq!([keep(&anna, "d"), keep(&anna, "e")].map(|kept| kept.status), [200, 200]);
    assert_eq!(refused(&keep(&anna, "f"), 507), "storage-full");
    assert_eq!(asked(&server, "DELETE", "/v2/jobs/a", OWN).status, 204);
    assert_eq!(keep(OWN, "c").status, 200);
    // Alone one has all.
    for id in ["b", "c", "d", "e"] {
        assert_eq!(asked(&server, "DELETE", &format!("/v2/jobs/{id}"), OWN).status, 204);
    }
    assert_eq!(asked(&server, "DELETE", "/v2/tokens/anna", OWN).status, 200);
    for id in ["g", "h", "i", "j"] {
        assert_eq!(keep(OWN, id).status, 200, "{id}");
    }
}

/// Opens a session by a token; returns its id.
fn opened(server: &Server, token: &str, accelerator: &str) -> String {
    let mut connection = server.connect();
    let head = connection.head("POST", "/v2/sessions");
    let request = json!({"accelerator": accelerator});
    let request = format!("apyfal-request: {request}\r\nContent-Length: 0\r\n\r\n");
    connection.write(format!("{head}{}{request}", bearer(token)).as_bytes());
    let answer = connection.answer();
    assert_eq!(answer.status, 201, "{}", text(&answer));
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn ten_sessions_of_one_owner_have_no_more_turns_than_one_of_another() {
    let server = host(
        "[accelerator.turn]\nslots = 1\n\
         command = [\"sh\", \"-c\", \"until [ -e $HOME/go ]; do sleep 0.05; done; cat >> $HOME/order\"]\n",
    );
    let (many, few) = (made(&server, "many"), made(&server, "few"));
    let submit = |session: &str, token: &str, word: &str| {
        let mut connection = server.connect();
        let head = connection.head("POST", &format!("/v2/sessions/{session}/jobs"));
        let request = json!({"mode": "submit"});
        let length = word.len();
        let request =
            format!("apyfal-request: {request}\r\nContent-Length: {length}\r\n\r\n{word}");
        connection.write(format!("{head}{}{request}", bearer(token)).as_bytes());
        let answer = connection.answer();
        assert_eq!(answer.status, 202, "{}", text(&answer));
    };
    let load = || {
        let status = server.get("/status").json();
        (status["running"].as_u64().unwrap(), status["waiting"].as_u64().unwrap())
    };
    // To open a session takes the slot as well.
    let own = opened(&server, OWN, "turn");
    let ten: Vec<_> = (0..10).map(|_| opened(&server, &many, "turn")).collect();
    let one = opened(&server, &few, "turn");
    // It is taken until all others wait for it.
    submit(&own, OWN, "first ");
    common::server::until("the first one runs", || load() == (1, 0));
    for session in &ten {
        submit(session, &many, "many ");
    }
    for _ in 0..3 {
        submit(&one, &few, "few ");
    }
    common::server::until("all others wait", || load() == (1, 13));
    server.open_gate();
    common::server::until("all have ended", || load() == (0, 0));
    let order = String::from_utf8(server.home().read("order")).unwrap();
    let order: Vec<_> = order.split_whitespace().collect();
    assert_eq!((order.len(), order[0]), (14, "first"));
    // Who was the first to wait may have the first turn.
    let turns: Vec<_> = order[1..7].chunks(2).map(|turn| turn.contains(&"few")).collect();
    assert_eq!(turns, [true; 3], "{order:?}");
    assert!(order[7..].iter().all(|word| *word == "many"), "{order:?}");
}
