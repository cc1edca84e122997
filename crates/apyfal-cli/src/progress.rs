//! A progress bar for long work, on a terminal only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apyfal::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::commands::troubles::Troubles;
use crate::printer::Printer;

/// Work that ends sooner draws nothing.
const PATIENCE: Duration = Duration::from_millis(300);
const REDRAW: Duration = Duration::from_millis(100);

const WITH_TOTAL: &str = "{prefix:.30} [{wide_bar}] {percent:>3}% of {decimal_total_bytes} \
                          {decimal_bytes_per_sec} {eta} left";
const WITHOUT_TOTAL: &str = "{prefix:.30} {spinner} {decimal_bytes} {decimal_bytes_per_sec}";

/// Waits for `work` and shows meanwhile how far it is, and what is wrong with its hosts.
pub(crate) async fn shown<T>(
    printer: &Printer,
    title: &str,
    progress: &Arc<Progress>,
    troubles: &mut Troubles,
    work: impl Future<Output = T>,
) -> T {
    if !printer.draws() {
        return troubles.told(printer, work).await;
    }
    let mut work = std::pin::pin!(work);
    let begin = Instant::now();
    // It measures from the start and is drawn later, so that the first rate it shows is right.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    bar.set_prefix(title.to_owned());
    set_style(&bar, WITHOUT_TOTAL);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            () = tokio::time::sleep(REDRAW) => {}
        }
        update(&bar, progress);
        if troubles.is_news() {
            bar.suspend(|| troubles.tell(printer));
        }
        if bar.is_hidden() && begin.elapsed() > PATIENCE {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    };
    bar.finish_and_clear();
    result
}

fn update(bar: &ProgressBar, progress: &Progress) {
    match progress.total() {
        Some(total) => {
            if bar.length() != Some(total) {
                set_style(bar, WITH_TOTAL);
                bar.set_length(total);
            }
            bar.set_position(progress.read().min(total));
        }
        // What makes data instead of reading it is measured by what it wrote.
        None => bar.set_position(progress.read().max(progress.written())),
    }
    bar.tick();
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}
