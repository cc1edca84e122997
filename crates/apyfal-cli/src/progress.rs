//! A progress bar for long work, on a terminal only.

use std::sync::Arc;
use std::time::Duration;

use apyfal::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::printer::Printer;

/// Work that ends sooner draws nothing.
const PATIENCE: Duration = Duration::from_millis(300);
const REDRAW: Duration = Duration::from_millis(100);

const WITH_TOTAL: &str = "{prefix} [{bar:30}] {percent:>3}%  {decimal_bytes}/{decimal_total_bytes}  \
                          {decimal_bytes_per_sec}  {eta} left";
const WITHOUT_TOTAL: &str = "{prefix} {spinner} {decimal_bytes}  {decimal_bytes_per_sec}";

/// Waits for `work` and shows meanwhile how far it is.
pub(crate) async fn shown<T>(
    printer: &Printer,
    title: &str,
    progress: &Arc<Progress>,
    work: impl Future<Output = T>,
) -> T {
    if !printer.draws() {
        return work.await;
    }
    let mut work = std::pin::pin!(work);
    tokio::select! {
        result = &mut work => return result,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    let bar = ProgressBar::no_length();
    bar.set_prefix(title.to_owned());
    let result = loop {
        draw(&bar, progress);
        tokio::select! {
            result = &mut work => break result,
            () = tokio::time::sleep(REDRAW) => {}
        }
    };
    bar.finish_and_clear();
    result
}

fn draw(bar: &ProgressBar, progress: &Progress) {
    match progress.total() {
        Some(total) => {
            if bar.length() != Some(total) {
                set_style(bar, WITH_TOTAL);
                bar.set_length(total);
            }
            bar.set_position(progress.read().min(total));
        }
        None => {
            if bar.position() == 0 {
                set_style(bar, WITHOUT_TOTAL);
            }
            // What makes data instead of reading it is measured by what it wrote.
            bar.set_position(progress.read().max(progress.written()));
        }
    }
    bar.tick();
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}
