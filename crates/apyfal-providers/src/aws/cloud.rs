//! Clouds for tests: one for all, of which each test has a region of its own, behind a server that notes
//! what is asked of it and may answer instead.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use apyfal_testkit::{Answer, Body, Fault, FaultServer, Request};

use super::api::{Api, Params};
use super::element::Element;
use super::testing::{api_of, environment};

/// What is asked for: the action and its parameters.
pub(crate) type Asked = BTreeMap<String, String>;

/// What belongs to the whole account is asked for here.
const GLOBAL: &str = "us-east-1";
/// Each has zones that end with a and b.
const REGIONS: &str = "\
    us-east-2 us-west-1 us-west-2 eu-west-1 eu-west-2 eu-west-3 eu-central-1 \
    eu-central-2 eu-north-1 eu-south-1 eu-south-2 ap-south-1 ap-south-2 \
    ap-northeast-2 ap-northeast-3 ap-southeast-1 ap-southeast-2 ap-southeast-3 \
    ap-southeast-4 ap-southeast-5 ap-east-1 ca-central-1 ca-west-1 sa-east-1 me-south-1 \
    me-central-1 af-south-1 il-central-1 mx-central-1 ap-southeast-7";

/// A region of its own, with a default VPC.
#[derive(Debug)]
pub(crate) struct Cloud {
    server: FaultServer,
    region: &'static str,
    shared: Arc<apyfal_testkit::Cloud>,
}

impl Cloud {
    pub(crate) fn start() -> Self {
        Self::with(|_| None)
    }

    /// One in which `instead` answers what it wants to.
    pub(crate) fn with(instead: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Self {
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        let region = REGIONS.split(' ').nth(TAKEN.fetch_add(1, Ordering::Relaxed)).unwrap();
        Self::at(region, instead)
    }

    /// One for what belongs to the whole account, so that names tell whose it is.
    pub(crate) fn global(
        instead: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        Self::at(GLOBAL, instead)
    }

    fn at(
        region: &'static str,
        instead: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let shared = shared();
        let address = shared.url().strip_prefix("http://").unwrap().to_owned();
        let server = FaultServer::start(move |request| {
            instead(&asked(request)).unwrap_or_else(|| forward(&address, request))
        });
        Self { server: server.unwrap(), region, shared }
    }

    /// Who calls it.
    pub(crate) fn api(&self) -> Api {
        let keys = self.shared.environment();
        let keys = keys.iter().filter(|(name, _)| name.contains("KEY"));
        let keys: Vec<_> = keys.map(|(name, value)| (*name, value.as_str())).collect();
        let mut api = api_of(&environment(&self.server.url(), &keys));
        self.region.clone_into(&mut api.region);
        api
    }

    /// Has the answer to the first call of an action get lost that has this parameter, which is no other
    /// test's, after it was done.
    pub(crate) fn lose(&self, action: &str, name: &str, value: &str) {
        self.shared.fail(&Fault::of(action).having(name, value).times(1).lost());
    }

    /// The actions that were asked for while something was done.
    pub(crate) async fn actions<T>(&self, done: impl Future<Output = T>) -> (T, Vec<String>) {
        let before = self.server.requests().len();
        let done = done.await;
        let since = self.server.requests().split_off(before);
        // What was given up on its way has none.
        let actions = since.iter().filter_map(|request| asked(request).remove("Action"));
        (done, actions.collect())
    }
}

/// That of the tests which run at this moment.
fn shared() -> Arc<apyfal_testkit::Cloud> {
    static SHARED: Mutex<Weak<apyfal_testkit::Cloud>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let started = Arc::new(apyfal_testkit::Cloud::start().unwrap());
        *shared = Arc::downgrade(&started);
        started
    })
}

/// Parameters of a call.
pub(crate) fn params(params: &[(&str, &str)]) -> Params {
    params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What AWS answers where it refuses.
pub(crate) fn refusal(status: u16, code: &str) -> Answer {
    let body = format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>the test says so</Message></Error>\
         </Errors><RequestID>1</RequestID></Response>"
    );
    Answer::new(status, body)
}

/// The texts at a path of all elements.
pub(crate) fn texts<'a>(elements: &'a [Element], path: &str) -> Vec<&'a str> {
    elements.iter().filter_map(|element| element.text(path)).collect()
}

fn asked(request: &Request) -> Asked {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn forward(address: &str, request: &Request) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut head = format!("{} {} HTTP/1.0\r\n", request.method, request.path);
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(b"\r\n").unwrap();
    stream.write_all(&request.body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Answer::new(502, "").body(Body::Nothing);
    };
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer::new(status, answer.split_off(end + 4))
}
