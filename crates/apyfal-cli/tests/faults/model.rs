//! What was promised, and whether an answer keeps it.
//!
//! A client alone uses its ids and asks one thing after the other. So what it was told last is what is
//! so, but for requests whose answer never came: whether and when those are done nobody knows.

use std::fmt;
use std::io;
use std::sync::Mutex;

use serde_json::Value;

use crate::common::http::Answer;

/// A promise that was not kept.
#[derive(Debug)]
pub(crate) struct Broken(String);

impl Broken {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) type Held<T = ()> = Result<T, Broken>;

/// An answer, or why none came.
pub(crate) type Asked = io::Result<Answer>;

/// What excuses that something fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The host was killed, and its jobs with it.
    Killed,
    /// The host was away: killed, drained or stopped.
    Away,
    /// Its disk was full.
    Full,
    /// The network was in the way.
    Link,
}

/// What a host has to suffer.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<Moment>);

/// How often each cause began, and whether it is there, at some time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment([(u64, bool); 4]);

impl Troubles {
    pub(crate) fn begin(&self, cause: Cause) {
        let (count, is_there) = &mut self.0.lock().unwrap().0[cause as usize];
        (*count, *is_there) = (*count + 1, true);
    }

    pub(crate) fn end(&self, cause: Cause) {
        self.0.lock().unwrap().0[cause as usize].1 = false;
    }

    pub(crate) fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }

    /// Whether any of these was there at any time since a moment.
    pub(crate) fn since(&self, moment: &Moment, causes: &[Cause]) -> bool {
        let now = self.now();
        let was_there = |cause: &Cause| {
            let (before, now) = (moment.0[*cause as usize], now.0[*cause as usize]);
            before.1 || now.0 != before.0
        };
        causes.iter().any(was_there)
    }
}

/// What is known of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    /// It was sent, and may be there.
    Sent,
    /// It was acknowledged: it is there, and nobody else's.
    Acknowledged,
    /// It ended well: its result is there.
    Done,
}

/// A job that is kept.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) session: String,
    /// What it is called in its data, where it must not run twice.
    pub(crate) once: Option<String>,
    pub(crate) parameters: Value,
    pub(crate) data: Vec<u8>,
    pub(crate) result: Vec<u8>,
    pub(crate) known: Known,
    /// Whether a request for it has no answer, and so may be done at any time to come.
    pub(crate) is_pending: bool,
    /// Whether all of its data came each time, as far as that is known.
    pub(crate) is_whole: bool,
    /// Whether it was asked to end.
    pub(crate) is_cancelled: bool,
    /// Whether its deletion has no answer: it may go at any time, its result first.
    pub(crate) is_leaving: bool,
    /// When it was sent first.
    pub(crate) began: Moment,
}

/// What an answer has to say in its defence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plea<'a> {
    pub(crate) troubles: &'a Troubles,
    /// When it was asked for.
    pub(crate) asked: Moment,
    /// What else than a host that is away may be the reason that no answer came.
    pub(crate) is_linked: bool,
    /// Whether the client gave up by itself.
    pub(crate) gave_up: bool,
}

impl Plea<'_> {
    /// That no answer came has a reason.
    fn lost(&self, error: &io::Error) -> Held {
        let is_excused = |cause| self.troubles.since(&self.asked, &[cause]);
        if self.gave_up || is_excused(Cause::Away) || self.is_linked && is_excused(Cause::Link) {
            return Ok(());
        }
        Err(Broken::new(format!("no answer, and no reason for that: {error}")))
    }

    /// That a request was refused, or a job failed, has a reason. `since` is when that could begin.
    fn failed(&self, kind: &str, since: &Moment) -> Held {
        let causes: &[_] = match kind {
            "unavailable" => &[Cause::Away],
            "timeout" => &[Cause::Away, Cause::Link],
            "storage-full" => &[Cause::Full],
            // A program has no room either.
            "engine" => &[Cause::Full],
            _ => &[],
        };
        match self.troubles.since(since, causes) {
            true => Ok(()),
            false => Err(Broken::new(format!("'{kind}' for no reason"))),
        }
    }
}

/// The kind of an error that is told as one.
pub(crate) fn kind_of(answer: &Answer) -> Held<String> {
    let told = || -> Option<String> {
        let body: Value = serde_json::from_slice(&answer.body).ok()?;
        let kind = body["error"]["kind"].as_str()?.to_owned();
        (answer.status >= 400 && body["error"]["message"].is_string()).then_some(kind)
    };
    told().ok_or_else(|| unexpected("neither a result nor an error", answer))
}

fn unexpected(what: &str, answer: &Answer) -> Broken {
    let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(500)]);
    Broken::new(format!("{what}: {} {body}", answer.status))
}

/// What a request for something that is not kept may be answered. Whether that was its result.
pub(crate) fn plain(asked: &Asked, result: &[u8], plea: &Plea<'_>) -> Held<bool> {
    let answer = match asked {
        // Once a result has begun to come, a failure can only break it off.
        Err(_) if plea.troubles.since(&plea.asked, &[Cause::Full]) => return Ok(false),
        Err(error) => return plea.lost(error).map(|()| false),
        Ok(answer) => answer,
    };
    if answer.status == 200 {
        return same(&answer.body, result).map(|()| true);
    }
    plea.failed(&kind_of(answer)?, &plea.asked).map_err(|_| unexpected("refused", answer))?;
    Ok(false)
}

fn same(bytes: &[u8], expected: &[u8]) -> Held {
    if bytes == expected {
        return Ok(());
    }
    let at = bytes.iter().zip(expected).position(|(one, other)| one != other);
    Err(Broken::new(format!(
        "other bytes: {} and not {}, which differ at {at:?}",
        bytes.len(),
        expected.len()
    )))
}

impl Job {
    /// Whether its id is its client's, who may send it again.
    pub(crate) fn is_ours(&self) -> bool {
        !self.id.starts_with("job-")
    }

    /// Whether the host has to tell it from another job that is sent with its id.
    pub(crate) fn is_told_apart(&self) -> bool {
        let is_known = self.known == Known::Acknowledged && self.is_whole;
        self.is_ours() && (is_known || self.known == Known::Done)
    }

    /// It is so from now on, or more.
    fn knows(&mut self, known: Known) {
        if !self.is_leaving {
            self.known = self.known.max(known);
        }
    }

    /// It was sent.
    pub(crate) fn sent(&mut self, asked: &Asked, plea: &Plea<'_>) -> Held {
        let answer = match asked {
            Err(error) => {
                self.is_pending = true;
                // A part of its data may be all that came.
                self.is_whole &= !plea.is_linked && !plea.gave_up;
                return plea.lost(error);
            }
            Ok(answer) => answer,
        };
        match answer.status {
            200 => {
                same(&answer.body, &self.result)?;
                if answer.header("apyfal-job") != Some(&self.id) {
                    return Err(Broken::new("the result of another job"));
                }
                self.knows(Known::Done);
                Ok(())
            }
            202 => {
                let told = self.read(answer)?;
                self.knows(Known::Acknowledged);
                self.is(&told, plea)
            }
            _ => self.refused(answer, plea),
        }
    }

    /// It was asked for.
    pub(crate) fn told(&mut self, asked: &Asked, plea: &Plea<'_>) -> Held<Option<String>> {
        match asked {
            Err(error) => plea.lost(error).map(|()| None),
            Ok(answer) if answer.status == 200 => {
                let told = self.read(answer)?;
                self.is(&told, plea)?;
                Ok(told["state"].as_str().map(str::to_owned))
            }
            Ok(answer) => self.refused(answer, plea).map(|()| None),
        }
    }

    /// Its result was asked for, or a part of it.
    pub(crate) fn fetched(
        &mut self,
        asked: &Asked,
        part: Option<(usize, usize)>,
        plea: &Plea<'_>,
    ) -> Held {
        let answer = match asked {
            Err(error) => return plea.lost(error),
            Ok(answer) => answer,
        };
        match (answer.status, part) {
            (200, _) => same(&answer.body, &self.result)?,
            (206, Some((first, last))) => same(&answer.body, &self.result[first..=last])?,
            (409, _) if self.known != Known::Done => return Ok(()),
            _ => return self.refused(answer, plea),
        }
        self.knows(Known::Done);
        Ok(())
    }

    /// Its end was asked for. Whether it is no more.
    pub(crate) fn deleted(&mut self, asked: &Asked, plea: &Plea<'_>) -> Held<bool> {
        let answer = match asked {
            Err(error) => {
                (self.known, self.is_pending, self.is_leaving) = (Known::Sent, true, true);
                return plea.lost(error).map(|()| false);
            }
            Ok(answer) => answer,
        };
        match answer.status {
            204 => Ok(true),
            202 if self.known != Known::Done => {
                self.is_cancelled = true;
                Ok(false)
            }
            404 if self.known == Known::Sent => Ok(true),
            // It needs no room.
            _ if kind_of(answer)? == "unavailable" => {
                plea.failed("unavailable", &plea.asked).map(|()| false)
            }
            _ => Err(unexpected("it cannot be deleted", answer)),
        }
    }

    /// Another job was sent with its id, while it was known to be there.
    pub(crate) fn rivalled(&mut self, asked: &Asked, plea: &Plea<'_>) -> Held {
        match asked {
            Err(error) => {
                self.is_pending = true;
                plea.lost(error)
            }
            Ok(answer) if answer.status == 409 => Ok(()),
            Ok(answer) if answer.status < 300 => Err(unexpected("its id is another job's", answer)),
            Ok(answer) => plea.failed(&kind_of(answer)?, &plea.asked),
        }
    }

    fn read(&self, answer: &Answer) -> Held<Value> {
        let told: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let told = told.filter(|told| told["id"] == *self.id && told["session"] == *self.session);
        told.ok_or_else(|| unexpected("it is another job", answer))
    }

    /// How far it is.
    fn is(&mut self, told: &Value, plea: &Plea<'_>) -> Held {
        let state = told["state"].as_str().unwrap_or_default();
        let may_be = match state {
            "done" => {
                self.knows(Known::Done);
                told["result"] == self.result.len()
            }
            _ if self.known == Known::Done => false,
            "waiting" | "running" => true,
            "cancelled" => self.is_cancelled || !self.is_whole,
            // What ended and could not be written down did not end.
            "interrupted" => plea.troubles.since(&self.began, &[Cause::Killed, Cause::Full]),
            "failed" => {
                let kind = told["error"]["kind"].as_str().unwrap_or_default();
                !self.is_whole || plea.failed(kind, &self.began).is_ok()
            }
            _ => false,
        };
        match may_be {
            true => Ok(()),
            false => Err(Broken::new(format!("it cannot be '{state}': {told}"))),
        }
    }

    /// An error in place of what was asked for.
    fn refused(&self, answer: &Answer, plea: &Plea<'_>) -> Held {
        let kind = kind_of(answer)?;
        let may_be = match (self.known, kind.as_str()) {
            // What is there is given, unless the host takes nothing more.
            (Known::Done, "unavailable") => plea.failed(&kind, &plea.asked).is_ok(),
            (Known::Done, _) => false,
            (Known::Sent, "not-found") => true,
            // It may have failed for want of its data, which is told to it alone.
            _ if !self.is_whole => true,
            (_, "cancelled") => self.is_cancelled,
            (Known::Sent, "conflict") => self.is_pending,
            _ => plea.failed(&kind, &self.began).is_ok(),
        };
        match may_be {
            true => Ok(()),
            false => Err(unexpected(&format!("refused, being {:?}", self.known), answer)),
        }
    }
}
