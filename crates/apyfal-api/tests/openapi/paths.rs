//! The paths, and what may be asked there.

use apyfal_api::v2;
use serde_json::{Map, Value, json};

use crate::answers::{OF_JOBS, answers, of_text, of_type, open_answers, protocol, schema};

/// The greatest number that every reader of JSON takes exactly.
const GREATEST: u64 = (1 << 53) - 1;

pub(crate) fn all() -> Value {
    let mut paths = Map::new();
    let mut add = |path: &str, parameters: Value, operations: &[(&str, Value)]| {
        let mut item = Map::new();
        let has_parameters = parameters.as_array().is_some_and(|all| !all.is_empty());
        if has_parameters {
            item.insert("parameters".to_owned(), parameters);
        }
        for (method, operation) in operations {
            item.insert((*method).to_owned(), operation.clone());
        }
        paths.insert(path.to_owned(), item.into());
    };
    let of = |more: &[Value]| {
        let mut all = vec![version()];
        all.extend_from_slice(more);
        Value::from(all)
    };

    add("/v2/host", of(&[]), &[("get", about_host())]);
    add("/v2/lease", of(&[]), &[("get", lease()), ("post", extend())]);
    add("/v2/accelerators", of(&[]), &[("get", accelerators())]);
    let name = in_path("name", "Its name, or another one that means the same.");
    add("/v2/accelerators/{name}", of(&[name]), &[("get", accelerator())]);

    add("/v2/sessions", of(&[]), &[("post", start()), ("get", sessions())]);
    let session = in_path("id", "The id of the session.");
    let of_session = of(std::slice::from_ref(&session));
    add("/v2/sessions/{id}", of_session.clone(), &[("get", session_about()), ("delete", stop())]);
    add("/v2/sessions/{id}/jobs", of_session, &[("post", run("runJob")), ("put", run("putJob"))]);
    let accelerator = in_path("accelerator", "The name of the accelerator.");
    let both = [("post", run_alone("runAlone")), ("put", run_alone("putAlone"))];
    add("/v2/run/{accelerator}", of(&[accelerator]), &both);

    add("/v2/jobs", of(&[]), &[("get", jobs())]);
    let of_job = of(&[in_path("id", "The id of the job.")]);
    add("/v2/jobs/{id}", of_job.clone(), &[("get", job()), ("delete", end())]);
    add("/v2/jobs/{id}/result", of_job.clone(), &[("get", result())]);
    add("/v2/jobs/{id}/events", of_job, &[("get", events())]);
    add("/v2/logs", of(&[]), &[("get", logs())]);
    add("/v2/tokens", of(&[]), &[("get", tokens()), ("post", add_token())]);
    let token = in_path("name", "The name of the token.");
    add("/v2/tokens/{name}", of(&[token]), &[("delete", remove_token())]);

    let none = json!([]);
    add("/v2/openapi.json", none.clone(), &[("get", openapi())]);
    add("/metrics", none.clone(), &[("get", metrics())]);
    add("/status", none.clone(), &[("get", status())]);
    add("/healthz", none.clone(), &[("get", healthz())]);
    add("/readyz", none.clone(), &[("get", readyz())]);
    add("/", none, &[("get", page())]);
    paths.into()
}

fn version() -> Value {
    json!({
        "name": v2::PROTOCOL,
        "in": "header",
        "description": "The version of the protocol that the client speaks. Another one than the host's is refused.",
        "schema": {"type": "integer", "const": v2::VERSION},
    })
}

fn in_path(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": {"type": "string", "minLength": 1},
    })
}

fn in_query(name: &str, description: &str, schema: Value) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": schema})
}

fn page_number() -> Value {
    let page = json!({"type": "integer", "minimum": 1, "maximum": GREATEST, "default": 1});
    in_query("page", "Which page of 100 items.", page)
}

fn seconds(description: &str) -> Value {
    in_query("wait", description, json!({"type": "number", "minimum": 0}))
}

fn about_host() -> Value {
    json!({
        "operationId": "getHost", "tags": ["host"],
        "summary": "What the host is: versions, accelerators, cores.",
        "responses": answers(&[(200, of_type("What the host is.", "Host"))], &[]),
    })
}

fn lease() -> Value {
    json!({
        "operationId": "getLease", "tags": ["host"],
        "summary": "How long the host lives on without its owner.",
        "responses": answers(&[(200, of_type("What is left; what has no limit is missing.", "Lease"))], &[]),
    })
}

fn extend() -> Value {
    let time = json!({"type": "number", "minimum": 0, "maximum": v2::LeaseExtension::FURTHEST});
    let mut time = in_query("seconds", "For how many seconds from now, at least.", time);
    time["required"] = true.into();
    json!({
        "operationId": "extendLease", "tags": ["host"],
        "summary": "Lets the host live longer. A lease is never made shorter.",
        "parameters": [time],
        "responses": answers(&[(200, of_type("What is left now.", "Lease"))], &[409, 415]),
    })
}

fn accelerators() -> Value {
    let list = json!({
        "description": "The accelerators.",
        "headers": protocol(),
        "content": {"application/json": {"schema": {"type": "array", "items": schema("Accelerator")}}},
    });
    json!({
        "operationId": "listAccelerators", "tags": ["host"],
        "summary": "The accelerators, and which parameters they take.",
        "responses": answers(&[(200, list)], &[]),
    })
}

fn accelerator() -> Value {
    json!({
        "operationId": "getAccelerator", "tags": ["host"],
        "summary": "One accelerator, and which parameters it takes.",
        "responses": answers(&[(200, of_type("The accelerator.", "Accelerator"))], &[404]),
    })
}

/// A body that is a request with or without data, in one of three forms.
fn body(request: &str) -> Value {
    json!({
        "description": format!(
            "JSON alone is the request, a `{request}`, and there is no data. A form has the request and \
            then the data. Any other body is the data, and the header `{}` has the request.",
            v2::REQUEST
        ),
        "content": {
            "application/json": {"schema": schema(request)},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "request": schema(request),
                        "data": {"type": "string", "contentMediaType": "application/octet-stream"},
                    },
                    "additionalProperties": false,
                },
                "encoding": {
                    "request": {"contentType": "application/json"},
                    "data": {"contentType": "application/octet-stream"},
                },
            },
            "application/octet-stream": {"schema": {}},
        },
    })
}

/// The header with the request where the body is data.
fn request_header(request: &str) -> Value {
    json!({
        "name": v2::REQUEST,
        "in": "header",
        "description": "The request, where the body is data: JSON, characters outside of ASCII escaped.",
        "content": {"application/json": {"schema": schema(request)}},
    })
}

fn trailers() -> Value {
    json!({
        "name": "te",
        "in": "header",
        "description": format!(
            "With `trailers` the report or error comes behind the result, as the trailer `{}` or `{}`, where \
            the answer begins before the job has ended. It also shows that the client reads while it sends.",
            v2::REPORT, v2::ERROR
        ),
        "schema": {"type": "string", "examples": ["trailers"]},
    })
}

fn start() -> Value {
    let opened = of_type("The open session.", "Session");
    json!({
        "operationId": "startSession", "tags": ["sessions"],
        "summary": "Opens a session: an accelerator with its parameters and data.",
        "parameters": [request_header("StartRequest")],
        "requestBody": body("StartRequest"),
        "responses": answers(&[(201, opened)], &OF_JOBS),
    })
}

fn sessions() -> Value {
    json!({
        "operationId": "listSessions", "tags": ["sessions"],
        "summary": "The open sessions, the newest first.",
        "parameters": [page_number()],
        "responses": answers(&[(200, of_type("A page of them.", "Sessions"))], &[]),
    })
}

fn session_about() -> Value {
    json!({
        "operationId": "getSession", "tags": ["sessions"],
        "summary": "An open session.",
        "responses": answers(&[(200, of_type("The session.", "Session"))], &[404]),
    })
}

fn stop() -> Value {
    json!({
        "operationId": "stopSession", "tags": ["sessions"],
        "summary": "Ends a session, after its running jobs. One that ended before is no error.",
        "responses": answers(&[(200, of_type("What ending it told.", "Report"))], &[404, 409, 502]),
    })
}

/// The headers of an answer that is a result.
fn result_headers() -> Value {
    let mut headers = protocol();
    headers[v2::JOB] =
        json!({"description": "The job's id.", "required": true, "schema": {"type": "string"}});
    headers[v2::REPORT] = json!({
        "description": "The report, where the job ended before the answer began; else it is a trailer.",
        "content": {"application/json": {"schema": schema("Report")}},
    });
    headers
}

/// The answer to a job: its result, or its report where there is none.
fn ran() -> Value {
    json!({
        "description": "The result; or the report, for a job without a result. A job that fails after \
            its result has begun breaks the connection off, for clients that take no trailers.",
        "headers": result_headers(),
        "content": {
            "application/octet-stream": {"schema": {}},
            "application/json": {"schema": schema("Report")},
        },
    })
}

fn run(id: &str) -> Value {
    let submitted = of_type("A job that was submitted, once its data is in.", "Job");
    json!({
        "operationId": id, "tags": ["jobs"],
        "summary": "Runs or submits a job in a session.",
        "parameters": [request_header("JobRequest"), trailers()],
        "requestBody": body("JobRequest"),
        "responses": answers(&[(200, ran()), (202, submitted)], &OF_JOBS),
    })
}

fn run_alone(id: &str) -> Value {
    let parameters = json!({
        "name": "parameters", "in": "query", "style": "form", "explode": true,
        "description": "The parameters of the accelerator: `?level=best`.",
        "schema": {"type": "object", "additionalProperties": true},
    });
    json!({
        "operationId": id, "tags": ["jobs"],
        "summary": "Opens a session, runs one job, and ends the session.",
        "parameters": [parameters, trailers()],
        "requestBody": {
            "description": "The data, of whatever type but a form.",
            "content": {"application/octet-stream": {"schema": {}}},
        },
        "responses": answers(&[(200, ran())], &OF_JOBS),
    })
}

fn jobs() -> Value {
    let state = in_query("state", "Only jobs in this state.", schema("JobState"));
    let session = in_query("session", "Only jobs of this session.", json!({"type": "string"}));
    json!({
        "operationId": "listJobs", "tags": ["jobs"],
        "summary": "The jobs that the host remembers, the newest first.",
        "parameters": [state, session, page_number()],
        "responses": answers(&[(200, of_type("A page of them.", "Jobs"))], &[]),
    })
}

fn job() -> Value {
    json!({
        "operationId": "getJob", "tags": ["jobs"],
        "summary": "How far a job is, or how it ended.",
        "parameters": [seconds("Seconds to wait for its end, at most 60.")],
        "responses": answers(&[(200, of_type("The job.", "Job"))], &[404]),
    })
}

fn end() -> Value {
    let cancelled = of_type("It waited or ran, and is cancelled.", "Job");
    let forgotten = json!({"description": "It is forgotten.", "headers": protocol()});
    json!({
        "operationId": "endJob", "tags": ["jobs"],
        "summary": "Cancels a job that waits or runs; forgets one that ended, with its result.",
        "responses": answers(&[(202, cancelled), (204, forgotten)], &[404]),
    })
}

fn result() -> Value {
    let whole = json!({
        "description": "All of it.",
        "headers": result_headers(),
        "content": {"application/octet-stream": {"schema": {}}},
    });
    let mut part = whole.clone();
    part["description"] = "The part that was asked for.".into();
    part["headers"]["content-range"] = json!({"required": true, "schema": {"type": "string"}});
    let range = json!({
        "name": "range", "in": "header",
        "description": "The part that is wanted, as HTTP has it. What is no single range of bytes is ignored.",
        "schema": {"type": "string", "examples": ["bytes=0-1023"]},
    });
    json!({
        "operationId": "getResult", "tags": ["jobs"],
        "summary": "The result of a job that was kept, or the error that it ended with.",
        "parameters": [range],
        "responses": answers(&[(200, whole), (206, part)], &OF_JOBS),
    })
}

fn events() -> Value {
    // How events look OpenAPI 3.1 cannot say.
    let told = json!({
        "description": "Events `progress`, and at last one `end`; the data of each is a `Job`.",
        "headers": protocol(),
        "content": {"text/event-stream": {}},
    });
    json!({
        "operationId": "followJob", "tags": ["jobs"],
        "summary": "Tells how far a job is, until it ended.",
        "responses": answers(&[(200, told)], &[404]),
    })
}

fn logs() -> Value {
    let count = |least: u64| json!({"type": "integer", "minimum": least, "maximum": GREATEST});
    json!({
        "operationId": "getLogs", "tags": ["host"],
        "summary": "What the agent and its jobs said, the latest lines.",
        "parameters": [
            in_query("after", "Only lines behind this one.", count(0)),
            in_query(
                "began",
                "When the agent began that numbered them; of another one all lines are given.",
                json!({"type": "number"}),
            ),
            in_query("job", "Only lines of this job.", json!({"type": "string"})),
            in_query("limit", "The last so many of them, at most 10000.", count(0)),
            seconds("Seconds to wait for a line where there is none yet, at most 60."),
        ],
        "responses": answers(&[(200, of_type("The lines.", "Logs"))], &[]),
    })
}

fn tokens() -> Value {
    json!({
        "operationId": "listTokens", "tags": ["host"],
        "summary": "The tokens beside the host's own. That, or who runs the host, is asked for.",
        "responses": answers(&[(200, of_type("Their names.", "Tokens"))], &[]),
    })
}

fn add_token() -> Value {
    let text = json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"});
    let mut name = in_query("name", "What to call it; 'host' is the host's own.", text);
    name["required"] = true.into();
    json!({
        "operationId": "addToken", "tags": ["host"],
        "summary": "Makes a token for one who is to use the host.",
        "parameters": [name],
        "responses": answers(
            &[(201, of_type("The token, which is shown this one time.", "NewToken"))],
            &[409, 415, 507],
        ),
    })
}

fn remove_token() -> Value {
    let removed = of_type("What was removed: it serves nobody any more.", "Token");
    json!({
        "operationId": "removeToken", "tags": ["host"],
        "summary": "Revokes a token. Jobs that were asked for with it go on.",
        "responses": answers(&[(200, removed)], &[404, 415]),
    })
}

fn openapi() -> Value {
    let this = json!({
        "description": "This document.",
        "headers": protocol(),
        "content": {"application/json": {"schema": {"type": "object"}}},
    });
    json!({
        "operationId": "getOpenapi", "tags": ["watching"], "security": [],
        "summary": "This document.",
        "responses": open_answers(&[(200, this)]),
    })
}

fn metrics() -> Value {
    let figures = of_text("Figures for Prometheus.", "text/plain; version=0.0.4; charset=utf-8");
    json!({
        "operationId": "getMetrics", "tags": ["watching"],
        "summary": "Figures for Prometheus.",
        "responses": answers(&[(200, figures)], &[]),
    })
}

fn status() -> Value {
    json!({
        "operationId": "getStatus", "tags": ["watching"], "security": [],
        "summary": "How the host is doing, as the page shows it; nothing private.",
        "responses": open_answers(&[
            (200, of_type("How it is doing.", "Overview")),
            (503, json!({"$ref": "#/components/responses/503"})),
        ]),
    })
}

fn healthz() -> Value {
    json!({
        "operationId": "getHealth", "tags": ["watching"], "security": [],
        "summary": "Whether the process answers.",
        "responses": open_answers(&[(200, of_text("It does.", "text/plain; charset=utf-8"))]),
    })
}

fn readyz() -> Value {
    json!({
        "operationId": "getReadiness", "tags": ["watching"], "security": [],
        "summary": "Whether the host takes jobs.",
        "responses": open_answers(&[
            (200, of_text("It does.", "text/plain; charset=utf-8")),
            (503, json!({"$ref": "#/components/responses/503"})),
        ]),
    })
}

fn page() -> Value {
    json!({
        "operationId": "getPage", "tags": ["watching"], "security": [],
        "summary": "The page that shows what the host does.",
        "responses": open_answers(&[(200, of_text("The page.", "text/html; charset=utf-8"))]),
    })
}
