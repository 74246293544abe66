use counterweight_tuner::{Params, Space, Value};
use serde::{Deserialize, Serialize};
use toml::{Table, Value as Toml};

use super::Recipe;
use crate::{Error, Result};

/// A search space over recipes.
///
/// A parameter's name is the path of a field in the recipe's TOML:
/// `optimizer.learning_rate`, `loss.kind`. A path of three parts in which the middle one
/// is a kind, `loss.focal.gamma`, is set only when the section's kind is that one.
/// Setting a kind resets the section's other fields to their defaults.
///
/// ```
/// use counterweight::{Recipe, RecipeSpace};
/// use counterweight_tuner::{Params, Value};
///
/// let space = RecipeSpace::text_default();
/// let mut params = Params::new();
/// params.insert("loss.kind".into(), Value::Text("focal".into()));
/// params.insert("loss.focal.gamma".into(), Value::Float(1.5));
/// params.insert("loss.logit_adjusted.tau".into(), Value::Float(0.7));
/// let recipe = space.recipe(&Recipe::default(), &params)?;
/// assert!(recipe.to_toml()?.contains("gamma = 1.5"));
/// # Ok::<(), counterweight::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecipeSpace {
    space: Space,
}

impl RecipeSpace {
    /// A space whose names are recipe paths.
    ///
    /// # Errors
    /// For a range without values. Paths are checked when a recipe is made.
    pub fn new(space: Space) -> Result<Self> {
        space.check()?;
        Ok(Self { space })
    }

    /// [`around`](Self::around) the default recipe, for text classification by n-grams.
    pub fn text_default() -> Self {
        Self::around(&Recipe::default())
    }

    /// Loss, its γ or τ, batch sampler, and learning rates from a fifth to twice the
    /// recipe's.
    pub fn around(recipe: &Recipe) -> Self {
        let rate = recipe.optimizer.learning_rate;
        let build = || -> counterweight_tuner::Result<Space> {
            Space::new()
                .categorical("loss.kind", ["cross_entropy", "focal", "logit_adjusted"])?
                .when("loss.kind", ["focal"], |s| s.float("loss.focal.gamma", 0.5..=3.0))?
                .when("loss.kind", ["logit_adjusted"], |s| {
                    s.float("loss.logit_adjusted.tau", 0.2..=1.0)
                })?
                .categorical("sampler.kind", ["uniform", "square_root", "class_aware"])
        };
        let space: Space = build().unwrap_or_default();
        let rates = 0.2 * rate..=2.0 * rate;
        // Only a learning rate that no recipe passes its check with is left out.
        let space = space.clone().log_float("optimizer.learning_rate", rates).unwrap_or(space);
        Self { space }
    }

    /// The space as the tuner sees it.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The base recipe with some fields replaced.
    ///
    /// # Errors
    /// [`Error::SpacePath`] for a path that no recipe has, and whatever
    /// [`Recipe::check`] finds.
    pub fn recipe(&self, base: &Recipe, params: &Params) -> Result<Recipe> {
        let mut tree: Table = toml::from_str(&base.to_toml()?)
            .map_err(|e| Error::Recipe { reason: e.to_string() })?;
        let kinds_first = |(name, _): &(&String, &Value)| !name.ends_with(".kind");
        let mut params: Vec<_> = params.iter().collect();
        params.sort_by_key(kinds_first);
        for (name, value) in params {
            set(&mut tree, name, to_toml(value))?;
        }
        let recipe: Recipe = tree
            .try_into()
            .map_err(|e: toml::de::Error| Error::Recipe { reason: e.to_string() })?;
        recipe.check()?;
        Ok(recipe)
    }
}

fn to_toml(value: &Value) -> Toml {
    match value {
        Value::Int(v) => Toml::Integer(*v),
        Value::Float(v) => Toml::Float(*v),
        Value::Bool(v) => Toml::Boolean(*v),
        Value::Text(v) => Toml::String(v.clone()),
        // TOML has no null.
        Value::Null => Toml::String(value.to_string()),
    }
}

fn set(tree: &mut Table, path: &str, value: Toml) -> Result<()> {
    let wrong =
        |reason: &str| Error::SpacePath { path: path.to_owned(), reason: reason.to_owned() };
    let parts: Vec<&str> = path.split('.').collect();
    let (field, sections) = parts.split_last().ok_or_else(|| wrong("empty"))?;
    if *field == "kind" {
        // Fields of another kind would be unknown to this one.
        let section = sections.first().ok_or_else(|| wrong("a kind needs a section"))?;
        let same = tree.get(*section).and_then(|s| s.get("kind")) == Some(&value);
        if !same {
            let fresh = Table::from_iter([("kind".to_owned(), value)]);
            tree.insert((*section).to_owned(), Toml::Table(fresh));
        }
        return Ok(());
    }
    let mut table = tree;
    for &section in sections {
        if table.get("kind").and_then(Toml::as_str) == Some(section) {
            continue;
        }
        if table.contains_key("kind") && !table.contains_key(section) {
            // A parameter of another kind: not active.
            return Ok(());
        }
        table = table
            .get_mut(section)
            .and_then(Toml::as_table_mut)
            .ok_or_else(|| wrong("no such section in a recipe"))?;
    }
    table.insert((*field).to_owned(), value);
    Ok(())
}
