//! Copies one location to another: `copy SOURCE DESTINATION`.

use std::sync::Arc;

use apyfal_core::{Cancel, Progress};
use apyfal_storage::{Location, Storage};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(src), Some(dst)) = (arguments.next(), arguments.next()) else {
        return Err("usage: copy SOURCE DESTINATION".into());
    };
    let (src, dst) = (Location::parse(&src)?, Location::parse(&dst)?);
    let (cancel, progress) = (Cancel::default(), Arc::<Progress>::default());
    Storage::new().copy(&src, &dst, &cancel, &progress).await?;
    Ok(())
}
