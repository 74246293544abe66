//! Optuna's relational schema, version 12.

/// Version of the tables, and the migration that made them.
pub(super) const VERSION: i64 = 12;
pub(super) const MIGRATION: &str = "v3.2.0.a";
/// The library that the tables are said to be of; Optuna shows it in messages only.
pub(super) const LIBRARY: &str = "5.0.0";

/// What differs between databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// `(name, columns after the key, extra constraints)`; every table has a key of its own.
const TABLES: [(&str, &str, &[&str], &[&str]); 11] = [
    ("studies", "study_id", &["study_name VARCHAR(512) NOT NULL"], &[]),
    (
        "version_info",
        "version_info_id",
        &["schema_version INTEGER", "library_version VARCHAR(256)"],
        &["CHECK (version_info_id=1)"],
    ),
    (
        "study_directions",
        "study_direction_id",
        &[
            "direction {direction} NOT NULL",
            "study_id INTEGER NOT NULL",
            "objective INTEGER NOT NULL",
        ],
        &["UNIQUE (study_id, objective)", STUDY],
    ),
    ("study_user_attributes", "study_user_attribute_id", STUDY_ATTR, &[UNIQUE_STUDY_KEY, STUDY]),
    (
        "study_system_attributes",
        "study_system_attribute_id",
        STUDY_ATTR,
        &[UNIQUE_STUDY_KEY, STUDY],
    ),
    (
        "trials",
        "trial_id",
        &[
            "number INTEGER",
            "study_id INTEGER",
            "state {state} NOT NULL",
            "datetime_start {time}",
            "datetime_complete {time}",
        ],
        &[STUDY],
    ),
    ("trial_user_attributes", "trial_user_attribute_id", TRIAL_ATTR, &[UNIQUE_TRIAL_KEY, TRIAL]),
    (
        "trial_system_attributes",
        "trial_system_attribute_id",
        TRIAL_ATTR,
        &[UNIQUE_TRIAL_KEY, TRIAL],
    ),
    (
        "trial_params",
        "param_id",
        &[
            "trial_id INTEGER",
            "param_name VARCHAR(512)",
            "param_value {real}",
            "distribution_json TEXT",
        ],
        &["UNIQUE (trial_id, param_name)", TRIAL],
    ),
    (
        "trial_values",
        "trial_value_id",
        &[
            "trial_id INTEGER NOT NULL",
            "objective INTEGER NOT NULL",
            "value {real}",
            "value_type {value_type} NOT NULL",
        ],
        &["UNIQUE (trial_id, objective)", TRIAL],
    ),
    (
        "trial_intermediate_values",
        "trial_intermediate_value_id",
        &[
            "trial_id INTEGER NOT NULL",
            "step INTEGER NOT NULL",
            "intermediate_value {real}",
            "intermediate_value_type {intermediate_type} NOT NULL",
        ],
        &["UNIQUE (trial_id, step)", TRIAL],
    ),
];

const STUDY: &str = "FOREIGN KEY(study_id) REFERENCES studies (study_id)";
const TRIAL: &str = "FOREIGN KEY(trial_id) REFERENCES trials (trial_id)";
const STUDY_ATTR: &[&str] = &["study_id INTEGER", "\"key\" VARCHAR(512)", "value_json TEXT"];
const TRIAL_ATTR: &[&str] = &["trial_id INTEGER", "\"key\" VARCHAR(512)", "value_json TEXT"];
const UNIQUE_STUDY_KEY: &str = "UNIQUE (study_id, \"key\")";
const UNIQUE_TRIAL_KEY: &str = "UNIQUE (trial_id, \"key\")";

/// Names of PostgreSQL's enumerations and their values.
const ENUMS: [(&str, &str); 4] = [
    ("studydirection", "'NOT_SET', 'MINIMIZE', 'MAXIMIZE'"),
    ("trialstate", "'RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING'"),
    ("trialvaluetype", "'FINITE', 'INF_POS', 'INF_NEG'"),
    ("trialintermediatevaluetype", "'FINITE', 'INF_POS', 'INF_NEG', 'NAN'"),
];

impl Dialect {
    /// Statements that create all tables and say their version.
    pub(super) fn create(self) -> Vec<String> {
        let types = |text: &str| {
            let (direction, state, value, intermediate, time, real) = match self {
                Self::Sqlite => {
                    ("VARCHAR(8)", "VARCHAR(8)", "VARCHAR(7)", "VARCHAR(7)", "DATETIME", "FLOAT")
                }
                Self::Postgres => (
                    "studydirection",
                    "trialstate",
                    "trialvaluetype",
                    "trialintermediatevaluetype",
                    "TIMESTAMP WITHOUT TIME ZONE",
                    "FLOAT(53)",
                ),
            };
            text.replace("{direction}", direction)
                .replace("{state}", state)
                .replace("{value_type}", value)
                .replace("{intermediate_type}", intermediate)
                .replace("{time}", time)
                .replace("{real}", real)
        };
        let key = match self {
            Self::Sqlite => "INTEGER NOT NULL",
            Self::Postgres => "SERIAL NOT NULL",
        };
        let mut statements = Vec::new();
        if self == Self::Postgres {
            let create =
                |(name, values): &(&str, &str)| format!("CREATE TYPE {name} AS ENUM ({values})");
            statements.extend(ENUMS.iter().map(create));
        }
        let heartbeats: (&str, &str, &[&str], &[&str]) = (
            "trial_heartbeats",
            "trial_heartbeat_id",
            &["trial_id INTEGER NOT NULL", "heartbeat {time} NOT NULL"],
            &["UNIQUE (trial_id)", TRIAL],
        );
        for (table, id, columns, constraints) in TABLES.iter().chain([&heartbeats]) {
            let lines: Vec<String> = [format!("{id} {key}")]
                .into_iter()
                .chain(columns.iter().map(|c| types(c)))
                .chain([format!("PRIMARY KEY ({id})")])
                .chain(constraints.iter().map(|c| (*c).to_owned()))
                .collect();
            statements.push(format!("CREATE TABLE {table} (\n\t{}\n)", lines.join(", \n\t")));
        }
        statements.extend([
            "CREATE TABLE alembic_version (\n\tversion_num VARCHAR(32) NOT NULL, \n\t\
             CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)\n)"
                .to_owned(),
            "CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name)".to_owned(),
            "CREATE INDEX ix_trials_study_id ON trials (study_id)".to_owned(),
            format!("INSERT INTO alembic_version VALUES ('{MIGRATION}')"),
            format!("INSERT INTO version_info VALUES (1, {VERSION}, '{LIBRARY}')"),
        ]);
        statements
    }

    /// A text parameter as a value of one of the enumerations.
    pub(super) fn enumeration(self, parameter: &str, name: &str) -> String {
        match self {
            Self::Sqlite => parameter.to_owned(),
            Self::Postgres => format!("CAST(CAST({parameter} AS TEXT) AS {name})"),
        }
    }

    /// A text parameter as a time.
    pub(super) fn time(self, parameter: &str) -> String {
        match self {
            Self::Sqlite => parameter.to_owned(),
            Self::Postgres => format!("CAST(CAST({parameter} AS TEXT) AS TIMESTAMP)"),
        }
    }

    /// A column as text.
    pub(super) fn text(self, column: &str) -> String {
        match self {
            Self::Sqlite => column.to_owned(),
            Self::Postgres => format!("CAST({column} AS TEXT)"),
        }
    }

    /// What makes a read wait for other writers of the rows.
    pub(super) fn for_update(self) -> &'static str {
        match self {
            // A transaction that writes is alone from its beginning.
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }
}
