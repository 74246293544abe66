//! What Optuna's side of the tests prints, from our records.

use counterweight_tuner::{State, Storage};
use serde_json::{Value as Json, json};

/// Study "s" of a storage in the form of `peer/study.py dump`.
pub(crate) fn dump(storage: &dyn Storage) -> Json {
    let study = storage.studies().unwrap().into_iter().find(|s| s.name == "s").unwrap();
    let number = |v: &f64| match v {
        v if v.is_nan() => json!("nan"),
        v if v.is_infinite() => json!(if *v > 0.0 { "inf" } else { "-inf" }),
        v => json!(v),
    };
    let trials: Vec<Json> = storage
        .trials(study.id)
        .unwrap()
        .iter()
        .map(|t| {
            let state = match t.state {
                State::Failed => "FAIL".to_owned(),
                state => state.to_string().to_uppercase(),
            };
            let intermediate: serde_json::Map<String, Json> =
                t.intermediate.iter().map(|(k, v)| (k.to_string(), number(v))).collect();
            let values: Json = t.values.iter().map(number).collect();
            json!({
                "number": t.number,
                "state": state,
                "params": t.params,
                "values": if t.values.is_empty() { Json::Null } else { values },
                "intermediate": intermediate,
                "user_attrs": t.user_attrs,
                "system_attrs": t.system_attrs,
                "started": t.started.map(|t| t.as_microsecond() as f64 / 1e6),
                "completed": t.completed.map(|t| t.as_microsecond() as f64 / 1e6),
            })
        })
        .collect();
    let directions: Vec<String> =
        study.directions.iter().map(|d| d.to_string().to_uppercase()).collect();
    json!({
        "directions": directions,
        "user_attrs": study.user_attrs,
        "system_attrs": study.system_attrs,
        "trials": trials,
    })
}

/// Compares our view with Optuna's, trial by trial.
pub(crate) fn assert_same(ours: &Json, theirs: &Json, context: &str) {
    let (listed, expected) =
        (ours["trials"].as_array().unwrap(), theirs["trials"].as_array().unwrap());
    assert_eq!(listed.len(), expected.len(), "{context}");
    for (ours, theirs) in listed.iter().zip(expected) {
        let mut theirs = theirs.clone();
        // Compared as text, in the file, elsewhere.
        theirs.as_object_mut().unwrap().remove("distributions");
        assert_eq!(*ours, theirs, "{context}");
    }
    for part in ["directions", "user_attrs", "system_attrs"] {
        assert_eq!(ours[part], theirs[part], "{context}");
    }
}
