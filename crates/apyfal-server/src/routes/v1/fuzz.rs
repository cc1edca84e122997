//! Forms and paths at random: nothing breaks, and what is accepted is what was sent.

use std::convert::Infallible;
use std::io::Read;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use apyfal_core::{Input, Source};
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use futures::{TryStreamExt, stream};

use super::form::{self, Data};
use super::refusal::Refusal;
use super::route::{Resource, Route};
use crate::access::Peer;
use crate::scratch::Scratch;

/// What forms are made of, and what nearly is.
const FRAGMENTS: [&str; 24] = [
    "--b\r\n",
    "\r\n--b\r\n",
    "\r\n--b--\r\n",
    "--b--",
    "\r\n--",
    "\r\n",
    "\n",
    "\r\n\r\n",
    "-",
    "b",
    "Content-Disposition: form-data; name=\"parameters\"\r\n\r\n",
    "Content-Disposition: form-data; name=\"configuration\"\r\n\r\n",
    "Content-Disposition: form-data; name=\"datafile\"; filename=\"x\"\r\n\r\n",
    "Content-Disposition: form-data; name=",
    "; filename*=utf-8''",
    "\"",
    "\\\"",
    "{}",
    "{\"app\": {\"specific\": {\"a\": [1, null]}}}",
    "[[[[",
    "http://h/v1.0/configuration/1/",
    "\u{e9}",
    "\0",
    "a longer piece of text that stands for data, and goes on for a while",
];

/// Room for what a form puts on disk, and a runtime to read it in.
static SURROUNDINGS: LazyLock<(tempfile::TempDir, Arc<Scratch>, tokio::runtime::Runtime)> =
    LazyLock::new(|| {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(root.path(), u64::MAX).unwrap();
        (
            root,
            scratch,
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap(),
        )
    });

/// What is picked by these bytes.
fn picked(bytes: &[u8], from: &[&'static str]) -> Vec<&'static str> {
    bytes.iter().map(|byte| from[usize::from(*byte) % from.len()]).collect()
}

/// What a form says that comes in these pieces, and its data; or why it is refused.
fn outcome(pieces: Vec<Bytes>) -> Result<(String, Option<Vec<u8>>), String> {
    let (_, scratch, runtime) = &*SURROUNDINGS;
    let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)));
    let request = Request::builder().header("content-type", "multipart/form-data; boundary=b");
    let (parts, body) = request.body(body).unwrap().into_parts();
    let refused = |refusal: Refusal| format!("{} {}", refusal.status, refusal.error);
    runtime.block_on(async {
        let outcome = async {
            let read = form::read(&parts, body, scratch, Duration::MAX, true).await;
            let mut request = read.map_err(refused)?;
            let data = match request.data.take() {
                None => None,
                Some(Data::Coming(pieces)) => {
                    let pieces = pieces.try_collect::<Vec<_>>().await;
                    Some(pieces.map_err(|error| error.to_string())?.concat())
                }
                Some(whole) => Some(everything(whole.into_input(None))),
            };
            request.end.wait().await;
            request.end.check().map_err(refused)?;
            let form::Request { parameters, size, configuration, datafile, .. } = request;
            Ok((format!("{parameters:?} {size} {configuration} {datafile:?}"), data))
        };
        let outcome = outcome.await;
        // What reads the rest of a form ends as well.
        while runtime.metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
        outcome
    })
}

/// The data of a form that comes in these pieces, where it is a form.
fn data(pieces: &[&'static str]) -> Option<Vec<u8>> {
    outcome(pieces.iter().map(|piece| Bytes::from(*piece)).collect()).ok()?.1
}

fn everything(input: Input) -> Vec<u8> {
    let Source::Stream(mut stream) = input.into_source() else { panic!("it is a stream") };
    let mut data = Vec::new();
    stream.read_to_end(&mut data).unwrap();
    data
}

#[test]
fn whatever_comes_is_no_form_or_its_data_was_in_it() {
    bolero::check!().with_iterations(5_000).with_type::<Vec<u8>>().for_each(|bytes| {
        let pieces = picked(bytes, &FRAGMENTS);
        let sent = pieces.concat();
        if let Some(data) = data(&pieces) {
            let data = std::str::from_utf8(&data).expect("a part of what was sent");
            assert!(sent.contains(data), "{data:?}");
        }
    });
}

#[test]
fn a_form_says_the_same_in_whatever_pieces_it_comes() {
    bolero::check!().with_iterations(2_000).with_type::<Vec<u8>>().for_each(|bytes| {
        let pieces = picked(bytes, &FRAGMENTS);
        let sent = pieces.concat().into_bytes();
        let whole = outcome(vec![sent.clone().into()]);
        assert_eq!(outcome(pieces.into_iter().map(Bytes::from).collect()), whole);
        assert_eq!(outcome(sent.chunks(1).map(Bytes::copy_from_slice).collect()), whole);
    });
}

#[test]
fn data_comes_out_as_it_went_in() {
    const HEAD: &str = "--b\r\nContent-Disposition: form-data; name=\"parameters\"\r\n\r\n{}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"configuration\"\r\n\r\n1\r\n\
         --b\r\nContent-Disposition: form-data; name=\"datafile\"\r\n\r\n";
    bolero::check!().with_iterations(5_000).with_type::<Vec<u8>>().for_each(|bytes| {
        let pieces = picked(bytes, &FRAGMENTS);
        let sent = pieces.concat();
        // What looks like an end is one.
        if !format!("\r\n{sent}\r\n").contains("\r\n--b") {
            let form = [&[HEAD], &pieces[..], &["\r\n--b--\r\n"]].concat();
            assert_eq!(data(&form).as_deref(), Some(sent.as_bytes()));
        }
    });
}

#[test]
fn any_path_leads_somewhere_or_nowhere() {
    const PARTS: [&str; 12] = [
        "/",
        "//",
        "v1.0",
        "v1.0/",
        "configuration",
        "process",
        "schema",
        "gzip",
        "%2f",
        "..",
        "0",
        "9",
    ];
    bolero::check!().with_iterations(5_000).with_type::<Vec<u8>>().for_each(|bytes| {
        let path = format!("/{}", picked(bytes, &PARTS).concat());
        let (request, ()) = Request::builder().uri(&path).body(()).unwrap().into_parts();
        let local = ([127, 0, 0, 1], 0).into();
        let peer = Peer {
            local,
            needs_token: false,
            is_encrypted: false,
            program: apyfal_net::Owner::NotAsked,
            host: None,
        };
        let route = Route::of(&request, &peer);
        if Resource::of(&path).is_some() {
            let is_ours = |name: &String| path.contains(&format!("/{name}/v1.0"));
            assert!(route.accelerator.as_ref().is_none_or(is_ours), "{path}");
        }
    });
}
