//! Distributions as JSON text, the form that Optuna's files and databases share.

use serde_json::Value as Json;

use super::python::{dumps, float};
use crate::record::number;
use crate::{Distribution, Value};

/// A choice as JSON.
pub(super) fn choice(value: &Value) -> String {
    match value {
        Value::Float(v) => float(*v),
        other => dumps(&serde_json::to_value(other).unwrap_or(Json::Null), true),
    }
}

/// `{"name": "FloatDistribution", "attributes": {…}}`.
pub(super) fn encode(distribution: &Distribution) -> String {
    let (name, attributes) = match distribution {
        Distribution::Float { low, high, log, step } => {
            let step = step.map_or("null".to_owned(), float);
            let (low, high) = (float(*low), float(*high));
            let fields =
                format!("\"step\": {step}, \"low\": {low}, \"high\": {high}, \"log\": {log}");
            ("FloatDistribution", fields)
        }
        Distribution::Int { low, high, log, step } => {
            let fields =
                format!("\"log\": {log}, \"step\": {step}, \"low\": {low}, \"high\": {high}");
            ("IntDistribution", fields)
        }
        Distribution::Categorical { choices } => {
            let choices: Vec<String> = choices.iter().map(choice).collect();
            ("CategoricalDistribution", format!("\"choices\": [{}]", choices.join(", ")))
        }
    };
    format!("{{\"name\": \"{name}\", \"attributes\": {{{attributes}}}}}")
}

/// The inverse, also of the names that Optuna wrote before its version 3 and of its short
/// form.
pub(super) fn decode(text: &str) -> Result<Distribution, String> {
    let json: Json =
        serde_json::from_str(&super::python::quoted(text)).map_err(|e| e.to_string())?;
    let attributes = json.get("attributes").unwrap_or(&json);
    let name = json.get("name").or_else(|| json.get("type")).and_then(Json::as_str);
    let real = |key: &str| {
        let found = attributes.get(key).and_then(number);
        found.ok_or_else(|| format!("the distribution has no number {key:?}: {text}"))
    };
    let whole = |key: &str| {
        let found = attributes.get(key).and_then(|v| v.as_i64().or(number(v).map(|v| v as i64)));
        found.ok_or_else(|| format!("the distribution has no integer {key:?}: {text}"))
    };
    let given = |key: &str| attributes.get(key).is_some_and(|v| !v.is_null());
    let log = attributes.get("log").and_then(Json::as_bool).unwrap_or(false);
    let step = || if given("step") { real("step").map(Some) } else { Ok(None) };
    let steps = || if given("step") { whole("step") } else { Ok(1) };
    Ok(match name {
        Some("FloatDistribution" | "float" | "UniformDistribution") => {
            Distribution::Float { low: real("low")?, high: real("high")?, log, step: step()? }
        }
        Some("LogUniformDistribution") => {
            Distribution::Float { low: real("low")?, high: real("high")?, log: true, step: None }
        }
        Some("DiscreteUniformDistribution") => Distribution::Float {
            low: real("low")?,
            high: real("high")?,
            log: false,
            step: Some(real("q")?),
        },
        Some("IntDistribution" | "int" | "IntUniformDistribution") => {
            Distribution::Int { low: whole("low")?, high: whole("high")?, log, step: steps()? }
        }
        Some("IntLogUniformDistribution") => Distribution::Int {
            low: whole("low")?,
            high: whole("high")?,
            log: true,
            step: steps()?,
        },
        Some("CategoricalDistribution" | "categorical") => {
            let listed = attributes.get("choices").and_then(Json::as_array);
            let listed =
                listed.ok_or_else(|| format!("the distribution has no choices: {text}"))?;
            Distribution::Categorical { choices: listed.iter().map(value).collect() }
        }
        _ => return Err(format!("unknown distribution {text}")),
    })
}

/// A choice. One that is neither number, text, truth value nor null keeps its JSON text.
pub(crate) fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(v) => Value::Bool(*v),
        Json::Number(v) => {
            v.as_i64().map_or_else(|| Value::Float(v.as_f64().unwrap_or(f64::NAN)), Value::Int)
        }
        Json::String(v) => Value::Text(v.clone()),
        other => Value::Text(dumps(other, true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_keep_optunas_text() {
        let texts = [
            r#"{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}"#,
            r#"{"name": "FloatDistribution", "attributes": {"step": 0.25, "low": 0.0, "high": 1.0, "log": false}}"#,
            r#"{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}"#,
            r#"{"name": "CategoricalDistribution", "attributes": {"choices": ["\u00e9", null, true, 1.5, 3]}}"#,
        ];
        for text in texts {
            assert_eq!(encode(&decode(text).unwrap()), text);
        }
        let old = r#"{"name": "DiscreteUniformDistribution", "attributes": {"low": 0, "high": 1.0, "q": 0.5}}"#;
        let new = Distribution::Float { low: 0.0, high: 1.0, log: false, step: Some(0.5) };
        assert_eq!(decode(old).unwrap(), new);
        assert!(decode(r#"{"name": "Other", "attributes": {}}"#).unwrap_err().contains("Other"));
    }
}
