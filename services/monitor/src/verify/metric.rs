//! Whether configured metrics are better than before the run.

use kubernaut_core::{
    model::{CheckOutcome, Timestamp, VerificationCheck},
    port::{ClusterRead, MetricSeries},
    service::{CallContext, Capability},
};

use super::config::{Better, MetricRule};

/// Name of the check.
pub(super) const NAME: &str = "metrics_better";

/// A change smaller than this share is noise.
const NOISE: f64 = 0.05;

pub(super) async fn check(cluster: &dyn ClusterRead, ctx: &CallContext, rules: &[MetricRule], since: Timestamp) -> VerificationCheck {
    let made = |outcome, text: String| VerificationCheck { name: NAME.into(), outcome, text };
    if rules.is_empty() {
        return made(CheckOutcome::Skip, "no metric is configured".into());
    }
    if !cluster.capabilities().contains(&Capability::Metrics) {
        return made(CheckOutcome::Skip, "the cluster has no metrics source".into());
    }
    let mut told = Vec::new();
    for rule in rules {
        match cluster.metrics(ctx.clone(), rule.name.clone()).await {
            Ok(series) => told.extend(series.iter().filter_map(|s| judge(s, rule, since))),
            Err(error) => tracing::warn!(metric = %rule.name, %error, "metric cannot be read"),
        }
    }
    if told.is_empty() {
        return made(CheckOutcome::Skip, "no metric has values from before and after".into());
    }
    let worse: Vec<_> = told.iter().filter(|(better, _)| !better).map(|(_, text)| text.as_str()).collect();
    match worse.is_empty() {
        true => made(CheckOutcome::Pass, format!("{} series no worse than before", told.len())),
        false => made(CheckOutcome::Fail, worse.join("; ")),
    }
}

fn judge(series: &MetricSeries, rule: &MetricRule, since: Timestamp) -> Option<(bool, String)> {
    let mean = |after: bool| {
        let values: Vec<f64> = series.values.iter().filter(|(at, v)| (*at >= since) == after && v.is_finite()).map(|(_, v)| *v).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let (before, after) = (mean(false)?, mean(true)?);
    let noise = before.abs() * NOISE;
    let fine = match rule.better {
        Better::Lower => after <= before + noise,
        Better::Higher => after >= before - noise,
    };
    Some((fine, format!("{} went from {before:.3} to {after:.3}", series.query)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_must_not_go_the_wrong_way() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let series = MetricSeries { query: "errors".into(), labels: Default::default(), values: vec![(at(1), 10.0), (at(2), 12.0), (at(10), 4.0)] };
        let rule = |better| MetricRule { name: "errors".into(), better };
        assert!(judge(&series, &rule(Better::Lower), at(5)).unwrap().0);
        assert!(!judge(&series, &rule(Better::Higher), at(5)).unwrap().0);
        assert_eq!(judge(&series, &rule(Better::Lower), at(0)), None, "nothing from before");
    }
}
