//! Behind a proxy on the same machine, which passes on the name by which clients call it.

use apyfal_testkit::Nginx;

use crate::client::{Client, none, text};
use crate::common::http::Connection;
use crate::common::page::root;
use crate::common::server::Server;

const NAME: &str = "accelerator.example.org";

/// The proxy of the guide, before this host.
fn proxy(server: &Server) -> Nginx {
    let guide = std::fs::read_to_string(root().join("docs/guides/host.md")).unwrap();
    let mut blocks = guide.split("```nginx\n").filter_map(|text| Some(text.split_once("```")?.0));
    let block = blocks.find(|block| block.contains("upstream apyfal")).unwrap();
    assert!(block.contains(NAME), "{block}");
    Nginx::of(|address| {
        let block = block.replace("listen 80;", &format!("listen {address};"));
        block.replace("127.0.0.1:8000", server.address())
    })
    .unwrap()
}

fn through(proxy: &Nginx) -> Connection {
    Connection::open(proxy.address()).called(NAME)
}

#[test]
fn it_is_served_by_the_name_that_it_is_told_of() {
    let names = format!("[serve]\naccelerator = null\nnames = {NAME}\n");
    let server = Server::configured(&names, &[]);
    let proxy = proxy(&server);
    let mut client = Client::new(&server);
    client.connection = through(&proxy);
    let url = text(&client.start(none(), None), "url").to_owned();
    assert!(url.starts_with(&format!("http://{NAME}/v1.0/")), "{url}");
    assert_eq!(client.process(&url, none(), b"data").1, b"data");
    assert_eq!(through(&proxy).get("/v2/jobs").status, 200);
    let mut other = Connection::open(proxy.address()).called("other.example.org");
    let message = other.get("/v1.0/configuration/").refused(403);
    assert!(message.contains("'other.example.org'"), "{message}");
}

#[test]
fn the_right_token_goes_before_the_name() {
    for rest_v1 in ["True", "False"] {
        let server = Server::configured(
            &format!("[serve]\naccelerator = null\ntoken = hunter2\nrest_v1 = {rest_v1}\n"),
            &[],
        );
        let proxy = proxy(&server);
        let ask = |token: &str| {
            let token = format!("Authorization: Bearer {token}\r\n");
            through(&proxy).bare("GET", "/v1.0/configuration/", &token)
        };
        ask("hunter2").well();
        let status = if rest_v1 == "True" { 403 } else { 401 };
        ask("hunter3").refused(status);
    }
}
