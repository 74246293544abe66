//! CLINC150 with a long tail.

use std::path::Path;

use counterweight::Result;
use counterweight::prelude::*;
use counterweight::samplers::Imbalance;

/// The authors' training set cut to a long tail, a tenth of it for dev, and their even test
/// set, of each every `step`-th text; without the questions that are out of scope.
pub(crate) fn long_tail(factor: f64, seed: u64, step: usize) -> Result<TextSplits> {
    let file = |part: &str| -> Result<(Vec<String>, Vec<String>)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/clinc150");
        let file = root.join(format!("{part}.csv.gz"));
        let data = TextReader::new(file, "intent").text("text").read()?;
        let name = |id: usize| data.encoder().name(id).unwrap_or_default().to_owned();
        let rows = data.texts().iter().cloned().zip(data.labels().iter().map(|&id| name(id)));
        Ok(rows.filter(|(_, intent)| intent != "oos").unzip())
    };
    let (texts, intents) = file("train")?;
    let all = TextData::new(texts, &intents)?;
    let mut parts = Split::stratified([0.9, 0.1]).with_seed(seed).indices(all.labels())?;
    let train = all.select(&parts[0]);
    // The classes in the order of their counts; a class keeps what it has where that is less.
    let profile = train.profile(SegmentRule::default())?;
    let (order, have) = (profile.order(), profile.counts());
    let most = have.iter().copied().max().unwrap_or(0) as usize;
    let wanted = Imbalance::Exponential { factor }.counts(most, order.len())?;
    let mut counts = vec![0; order.len()];
    for (&class, wanted) in order.iter().zip(wanted) {
        counts[class] = wanted.clamp(1, have[class] as usize);
    }
    let plan = Imbalance::Counts(counts).plan(train.labels(), seed)?;
    parts[0] = plan.kept().into_iter().map(|row| parts[0][row]).collect();

    let (mut texts, mut intents) = file("test")?;
    if step > 1 {
        parts.iter_mut().for_each(|rows| rows.retain(|row| row % step == 0));
        (texts, intents) = texts.into_iter().zip(intents).step_by(step).unzip();
    }
    let train = all.select(&parts[0]);
    Ok(TextSplits {
        profile: train.profile(SegmentRule::Quantiles { head: 1.0 / 3.0, tail: 1.0 / 3.0 })?,
        dev: all.select(&parts[1]),
        test: TextData::with_encoder(texts, &intents, all.encoder().clone())?,
        train,
        rows: parts,
    })
}
