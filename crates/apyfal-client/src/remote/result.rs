//! The result of a job, taken as it comes, and what the job told.

use apyfal_api::{WireError, v2};
use apyfal_core::{Error, ErrorKind, Report};
use http::{HeaderMap, HeaderValue, Method, header};

use super::connection::{Ask, PendingResponse};
use super::failure::Failure;
use super::job::{RemoteJob, ended, from_header, read, unreadable};
use super::kept::ENDING;

/// A result of no more than so many bytes is taken in as a whole.
const SHORT: u64 = 64 << 10;
/// How many seconds a question for a job waits.
pub(super) const WAIT: u64 = 30;

impl RemoteJob<'_> {
    /// Takes what is still missing of a result that was kept.
    pub(super) async fn rest_of(&self, job: v2::Job) -> Result<Report, Failure> {
        let taken = self.sink.taken();
        let report = job.report.map(Report::from);
        if let Some(report) = report
            && (!self.sink.is_there() || job.result == Some(taken))
        {
            return Ok(report);
        }
        let mut ask = Ask::new(Method::GET, format!("/v2/jobs/{}/result", job.id));
        if let Ok(range) = HeaderValue::try_from(format!("bytes={taken}-")) {
            ask.headers.insert(header::RANGE, range);
        }
        let answer = self.host.connections.send(ask).await?.accepted().await?;
        if taken > 0 && !begins_at(&answer.head.headers, taken) {
            return Err(unreadable("it is not the part of the result that is missing").into());
        }
        self.receive(answer).await
    }

    /// Takes the result of a job, or the rest of it, and what the job told.
    pub(super) async fn receive(&self, answer: PendingResponse<'_>) -> Result<Report, Failure> {
        let id = answer.head.headers.get(v2::JOB);
        let id = id.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let received = self.receive_of(id.as_deref(), answer).await;
        let (Err(failure), Some(id)) = (&received, id) else { return received };
        if matches!(failure, Failure::Lost(_))
            && let Some(error) = self.failed(&id).await
        {
            return Err(Failure::Final(error));
        }
        received.map_err(|failure| failure.map(|error| error.of_job(&id)))
    }

    async fn receive_of(
        &self,
        job: Option<&str>,
        mut answer: PendingResponse<'_>,
    ) -> Result<Report, Failure> {
        let headers = &answer.head.headers;
        let mut report: Option<v2::Report> = from_header(headers, v2::REPORT);
        let len = headers.get(header::CONTENT_LENGTH);
        let len = len.and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
        self.sink.begin().await;
        if !self.sink.is_there() {
            let told = answer.whole().await?;
            answer.finish();
            return Ok(read::<v2::Report>(&told)?.into());
        }
        if len.is_some_and(|len| len <= SHORT) {
            let result = answer.whole().await?;
            answer.finish();
            self.sink.write_short(result).await?;
        } else {
            let trailers = self.receive_long(&mut answer).await?;
            answer.finish();
            if let Some(error) = from_header::<WireError>(&trailers, v2::ERROR) {
                return Err(Failure::Final(error.into()));
            }
            report = report.or_else(|| from_header(&trailers, v2::REPORT));
        }
        let report = match report {
            Some(report) => Report::from(report),
            // It was too long for a header, or lost with the trailers.
            None => self.report_of(job.ok_or_else(|| unreadable("it has no report"))?).await?,
        };
        let (taken, made) = (self.sink.taken(), report.profiling.bytes_written);
        if taken != made {
            return Err(Failure::Lost(cut_off(taken, Some(made))));
        }
        Ok(report)
    }

    /// Why a job failed, where the host says that it did: this, too, makes an answer break off.
    async fn failed(&self, id: &str) -> Option<Error> {
        let asked = tokio::time::timeout(ENDING, self.job(id, 0)).await;
        match asked.ok()?.ok()?.and_then(ended)? {
            Err(Failure::Final(why)) => Some(why),
            _ => None,
        }
    }

    /// Asks how a job ended whose answer did not tell. Only one that is known to have ended well
    /// has.
    async fn report_of(&self, id: &str) -> Result<Report, Failure> {
        loop {
            let Some(job) = self.job(id, WAIT).await? else {
                return Err(Failure::Final(untold()));
            };
            match ended(job) {
                None => {}
                Some(Ok(job)) => {
                    let report = job.report.map(Report::from);
                    return report.ok_or_else(|| Failure::Final(untold()));
                }
                // The host lost us, and what is in between did not say so.
                Some(Err(Failure::Lost(_))) => {
                    return Err(Failure::Lost(cut_off(self.sink.taken(), None)));
                }
                Some(Err(failure)) => return Err(failure),
            }
        }
    }

    async fn receive_long(&self, answer: &mut PendingResponse<'_>) -> Result<HeaderMap, Failure> {
        let (sender, mut writing) = self.sink.writer();
        let mut trailers = HeaderMap::new();
        let received: Result<(), Failure> = async {
            while let Some(frame) = answer.frame().await? {
                match frame.into_data() {
                    Ok(piece) => {
                        if answer.meanwhile(sender.send(piece)).await.is_err() {
                            // The writer ended; its result says why.
                            break;
                        }
                    }
                    Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
                }
            }
            Ok(())
        }
        .await;
        // What came in before a connection broke is written, and counts.
        drop(sender);
        let written = answer.meanwhile(&mut writing).await;
        written.map_err(std::io::Error::from).map_err(Error::from)??;
        received.map(|()| trailers)
    }
}

/// What is in between cut a result off, and did not say so.
fn cut_off(taken: u64, made: Option<u64>) -> Error {
    let of = made.map(|made| format!(" of {made}")).unwrap_or_default();
    Error::new(ErrorKind::Unavailable, format!("it ended after {taken}{of} bytes"))
        .operation("take the result from the host")
        .hint("a proxy in between gave up, or took half a result for a whole one")
        .retryable()
}

/// A result came, but not whether it is one.
fn untold() -> Error {
    Error::new(ErrorKind::Unavailable, "the trailer with the job's report did not come")
        .operation("take the result from the host")
        .hint(
            "a proxy in between drops trailers, and the host that was asked does not know the job",
        )
        .hint("one address must lead to one host: see 'Behind a proxy' in the guide to hosts")
}

/// Whether an answer is a part of something that begins here.
fn begins_at(headers: &HeaderMap, position: u64) -> bool {
    let range = headers.get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let begin = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-'));
    begin.is_some_and(|(begin, _)| begin.parse() == Ok(position))
}
