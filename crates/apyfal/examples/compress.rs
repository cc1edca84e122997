//! What these five command lines do: `apyfal start -a gzip`, `apyfal process -i a.txt -o a.txt.gz`,
//! the same for `b.txt` and `c.txt`, and `apyfal stop`.

use apyfal::{Accelerator, Call, Surroundings, configuration};

#[tokio::main]
async fn main() -> apyfal::Result<()> {
    let surroundings = Surroundings::of_process();
    let configuration = configuration::load(None, &surroundings.environment).await?;
    let gzip = Accelerator::builder("gzip").configuration(configuration).surroundings(surroundings);
    let gzip = gzip.build()?;
    gzip.start(Call::new()).await?;
    for name in ["a.txt", "b.txt", "c.txt"] {
        gzip.process(Call::new().src(name).dst(format!("{name}.gz"))).await?;
    }
    gzip.stop().await.map(drop)
}
