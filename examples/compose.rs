//! A user's own burn model with focal loss, SMOTE and Bayesian search, in one program.
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::relu;
use counterweight::prelude::*;

#[derive(Module, Debug)]
struct Mlp {
    hidden: Linear,
    head: Linear,
}

impl Mlp {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.head.forward(relu(self.hidden.forward(x)))
    }
    fn fit(train: &Table, plan: &Plan, loss: &dyn Loss, device: &Device) -> Result<Self, BoxError> {
        let x = plan.apply_tensor(train.tensor(device))?; // gathered on the device
        let y = Targets::from_ids(&plan.labels(), device);
        let layer = |from, to| LinearConfig::new(from, to).init(device);
        let model = Self { hidden: layer(x.dims()[1], 32), head: layer(32, 2) };
        let (mut model, mut optimizer) = (seeded(model, 0.2, 7), AdamWConfig::new().init());
        for _ in 0..60 {
            let value = loss.forward(model.forward(x.clone()), &y, Reduction::Mean);
            let gradients = GradientsParams::from_grads(value.backward(), &model);
            model = optimizer.step(0.01, model, gradients);
        }
        Ok(model.valid())
    }
}

fn main() -> Result<(), BoxError> {
    let device = device::from_env()?.autodiff(); // or Device::flex(), Device::cuda(0), ...
    let table = Table::read_csv("data/churn/mlc_churn.csv.gz", "churn")?;
    let [train, dev, test] = table.split_scaled([0.6, 0.2, 0.2], 7)?;
    let profile = train.profile()?;
    let (x, y) = (train.features(), train.labels());
    let judge = |model: &Mlp, part: &Table| {
        let logits = model.forward(part.tensor(&device.clone().without_autodiff()));
        Predictions::from_logits(part.labels(), logits)
    };
    let study = Study::maximize("balanced accuracy").suggester(GaussianProcess::new());
    let mut models = Vec::new();
    study.optimize(20, |trial| {
        let loss = FocalConfig::new().with_gamma(trial.suggest_float("gamma", 0.0..=4.0)?);
        let ratio = Strategy::Ratio(trial.suggest_float("ratio", 0.2..=1.0)?);
        let plan = Smote::new().with_strategy(ratio).with_seed(trial.seed()).plan(&x, y)?;
        models.push(Mlp::fit(&train, &plan, &loss.init(&profile, &device)?, &device)?);
        let tally = judge(&models[models.len() - 1], &dev)?.tally();
        Ok(tally.metric(Metric::BalancedAccuracy, &profile).unwrap_or(0.0))
    })?;
    let plain = CrossEntropyConfig::new().init(&profile, &device)?;
    let plain = Mlp::fit(&train, &Plan::identity(y), &plain, &device)?;
    let best = study.best()?.ok_or("no trial completed")?;
    println!("{profile}\nbest: {:?}\n", best.params);
    let after = judge(&models[best.number as usize], &test)?;
    println!("{}", compare(&judge(&plain, &test)?, &after, &profile)?);
    Ok(())
}
