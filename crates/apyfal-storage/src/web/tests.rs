use std::io::{Read, Write};
use std::net::TcpListener;

use futures::TryStreamExt;

use super::*;

/// A server that sends so much of an answer to each request, and then nothing.
fn stalling(answer: &'static str) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().map_while(std::io::Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
            open.push(stream);
        }
    });
    Url::parse(&format!("http://{address}/file")).unwrap()
}

async fn read(transport: &Transport, url: &Url) -> Result<()> {
    let response = Server { transport: transport.clone(), url: url.clone(), version: None };
    let first = response.request_patiently(Some((0, 10))).await?;
    match Ranged::of(&first) {
        Ranged::Part { .. } => response.part(0, 10, Some(first)).await.map(drop),
        _ => Box::pin(response.whole(first)).try_collect::<Vec<_>>().await.map(drop),
    }
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up() {
    let silence = Duration::from_millis(300);
    let transport = Transport::impatient(silence).unwrap();
    let part = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/10\r\n\
                Content-Length: 10\r\n\r\n";
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun";
    for answer in ["", "HTTP/1.1 200", part, whole] {
        let url = stalling(answer);
        let begin = Instant::now();
        let error = read(&transport, &url).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("the server sent nothing for 0.3 s"), "{answer}: {text}");
        assert!(text.contains("/file'") && !error.is_retryable(), "{answer}: {text}");
        let took = begin.elapsed();
        // Far less than ordinary transports wait.
        assert!(took >= silence && took < Duration::from_secs(20), "{answer}: {took:?}");
    }
}

/// A server that sends one byte after the other, or one for each request.
fn dripping(head: &'static str, goes_on: bool) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(std::io::Result::ok) {
            std::thread::spawn(move || {
                let asked = &mut [0; 4096];
                let count = stream.read(asked).unwrap_or(0);
                let asked = String::from_utf8_lossy(&asked[..count]).to_lowercase();
                let from = asked.split("bytes=").nth(1).and_then(|range| range.split_once('-'));
                let head = head.replace("FROM", from.map_or("0", |(from, _)| from));
                let _ = stream.write_all(head.as_bytes());
                while stream.write_all(b"x").is_ok() && goes_on {
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
    });
    Url::parse(&format!("http://{address}/file")).unwrap()
}

#[tokio::test]
async fn a_server_that_drips_is_given_up_where_others_wait() {
    let limit = Duration::from_millis(400);
    let transport = Transport::impatient(Duration::from_secs(60)).unwrap().within(Some(limit));
    let part = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes FROM-999999/1000000\r\n\
                Content-Length: 1000000\r\nConnection: close\r\n\r\n";
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    for (head, goes_on) in [(whole, true), (part, true), (part, false)] {
        let url = dripping(head, goes_on);
        let server = Server { transport: transport.clone(), url: url.clone(), version: None };
        let error = match server.begin().await.unwrap() {
            (first, Begun::Parts(_)) => server.part(0, 1_000_000, Some(first)).await.map(drop),
            (first, Begun::Whole(_)) => {
                Box::pin(server.whole(first)).try_collect::<Vec<_>>().await.map(drop)
            }
        };
        let error = error.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("the server sent only "), "{head} {goes_on}: {text}");
        assert!(text.contains(" in 0.4 s") && !error.is_retryable(), "{text}");
    }
}
