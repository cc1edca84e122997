//! A server on hyper that sends back what it is sent, to compare a host with.

use std::convert::Infallible;

use anyhow::Result;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;

/// Serves until the process ends; says where on standard error.
pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        eprintln!("listening on http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let echo = service_fn(|request: Request<Incoming>| async move {
                    Ok::<_, Infallible>(Response::new(request.into_body()))
                });
                // HTTP/2 too, where a client begins with it.
                let builder = Builder::new(TokioExecutor::new());
                let connection = builder.serve_connection(TokioIo::new(stream), echo);
                // A client that breaks off is no event worth telling.
                let _ = connection.await;
            });
        }
    })
}
