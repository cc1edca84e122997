//! Connections: what every server of Apyfal does before it looks at a request, and what both ends
//! do to notice that the other is gone.

mod accept;
mod authority;
mod connect;
mod owner;
mod places;
mod proxy;
mod source;
mod tcp;
mod watched;
mod workers;

pub use accept::{Accepting, Connection, Service, bind};
pub use authority::authority;
pub use connect::{NoneAnswers, connect};
pub use owner::Owner;
pub use proxy::Proxies;
pub use source::Source;
pub use watched::Watched;
