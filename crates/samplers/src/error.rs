use counterweight_core::OutOfRange;

/// What can be wrong with data or parameters of a sampler.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter outside its range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// Labels, profiles or lengths that do not fit.
    #[error(transparent)]
    Data(#[from] counterweight_core::Error),
    /// A feature that is NaN or infinite.
    #[error("feature at row {row}, column {column} is {value}; features must be finite")]
    NotFinite {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A class too small for the method.
    #[error("class {class} has {got} examples, but {method} needs at least {needed}")]
    TooFew {
        /// The method.
        method: &'static str,
        /// The class id.
        class: usize,
        /// Its examples.
        got: usize,
        /// Examples needed.
        needed: usize,
    },
    /// A class too large for a method that keeps the distances of all its pairs.
    #[error("class {class} has {got} examples; {method} keeps the distances of at most {most}")]
    TooMany {
        /// The method.
        method: &'static str,
        /// The class id.
        class: usize,
        /// Its examples.
        got: usize,
        /// The most examples.
        most: usize,
    },
    /// A target count on the wrong side of what the class has.
    #[error("class {class} has {got} examples; {method} cannot make it {wanted}")]
    Target {
        /// The method.
        method: &'static str,
        /// The class id.
        class: usize,
        /// Its examples.
        got: usize,
        /// The wanted count.
        wanted: usize,
    },
    /// A sparse matrix where the method or its rows are dense.
    #[error("{method} needs a dense array, not a sparse matrix")]
    Sparse {
        /// The method.
        method: &'static str,
    },
    /// A sparse matrix stored by columns.
    #[error("the matrix is stored by columns (CSC); resampling needs rows, use to_csr")]
    NotCsr,
    /// A plan that refers to a set or scale which it does not have.
    #[error("the plan refers to its set or scale {index}, but has {got}")]
    PlanSet {
        /// The set or scale.
        index: usize,
        /// Sets or scales of the plan.
        got: usize,
    },
    /// Fewer rows than a method's neighbours.
    #[error("the data have {got} rows, but {method} needs at least {needed}")]
    TooFewRows {
        /// The method.
        method: &'static str,
        /// Rows.
        got: usize,
        /// Rows needed.
        needed: usize,
    },
    /// More rows to remove than a class has.
    #[error("class {class} has {got} examples; {method} cannot remove {wanted}")]
    Removal {
        /// The method.
        method: &'static str,
        /// The class id.
        class: usize,
        /// Its examples.
        got: usize,
        /// Rows to remove.
        wanted: usize,
    },
    /// A ratio for a method that removes as many rows as it finds.
    #[error("{method} removes what it finds and cannot reach a ratio; name the classes instead")]
    NoRatio {
        /// The method.
        method: &'static str,
    },
    /// A first row that is not of its class.
    #[error("row {row} is no example of class {class} and cannot be its first")]
    Start {
        /// The class id.
        class: usize,
        /// The row.
        row: usize,
    },
    /// Neighbourhoods without any row of another class.
    #[error(
        "no row of class {class} has a neighbour of another class; {method} cannot weight them, use SMOTE"
    )]
    NoStrangers {
        /// The method.
        method: &'static str,
        /// The class id.
        class: usize,
    },
    /// A synthetic row made from synthetic rows.
    #[error(
        "row {row} of a chained plan lies between rows that are themselves synthetic; over-sample in one step"
    )]
    Nested {
        /// The row of the plan.
        row: usize,
    },
    /// A strategy for two classes on data with another number.
    #[error("a ratio is defined for 2 classes, but the data have {classes}; use Strategy::Counts")]
    RatioClasses {
        /// Classes in the data.
        classes: usize,
    },
    /// A plan that refers to rows which the data do not have.
    #[error("the plan refers to row {row}, but the data have {rows} rows")]
    PlanRow {
        /// The row.
        row: usize,
        /// Rows of the data.
        rows: usize,
    },
    /// Every row a method would start from stands among strangers.
    #[error("every row of class {class} that could be a base stands among other classes")]
    AllNoise {
        /// The class id.
        class: usize,
    },
    /// No cluster in which a class is frequent enough.
    #[error(
        "no cluster has enough rows of class {class}; lower the threshold or ask for other clusters"
    )]
    NoCluster {
        /// The class id.
        class: usize,
    },
    /// A probability outside `[0, 1]`.
    #[error("the probability of row {row} is {value}; it must be in [0, 1]")]
    Probability {
        /// The row.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A column that the table does not have.
    #[error("column {column} was named, but the table has {columns}")]
    Column {
        /// The column.
        column: usize,
        /// Columns of the table.
        columns: usize,
    },
    /// A column named twice.
    #[error("column {column} is named twice")]
    ColumnTwice {
        /// The column.
        column: usize,
    },
    /// Mixed columns without a category.
    #[error("SMOTE-NC needs categorical columns; without any, use SMOTE")]
    NoCategory,
    /// Mixed columns without a number.
    #[error("every column is categorical; SMOTE-NC needs a continuous one, use SMOTE-N")]
    AllCategorical,
    /// A class without the shrinkage it needs.
    #[error("class {class} is to grow, but no shrinkage is given for it")]
    NoShrinkage {
        /// The class id.
        class: usize,
    },
    /// Control points of a relevance function that do not increase.
    #[error("a relevance function needs at least two finite control points with increasing values")]
    ControlPoints,
    /// A target without values beyond the whiskers of its box plot.
    #[error("no target value lies beyond the whiskers; give control points of your own")]
    NoExtremes,
    /// Targets that are all rare or all normal.
    #[error("every target value is {}; choose another threshold or relevance", if *rare { "rare" } else { "normal" })]
    OneRange {
        /// Whether they are rare.
        rare: bool,
    },
    /// A target that is NaN or infinite.
    #[error("the target of row {row} is {value}; targets must be finite")]
    TargetNotFinite {
        /// The row.
        row: usize,
        /// The value.
        value: f64,
    },
    /// Rows with noise, of sets or with categories, for a tensor.
    #[error(
        "only copies and rows between two rows are made on a device; apply the plan to an array"
    )]
    NotOnDevice,
    /// Synthetic rows have no text or category.
    #[error(
        "row {row} of the plan is interpolated and cannot be applied to rows without arithmetic"
    )]
    Interpolated {
        /// The row of the plan.
        row: usize,
    },
}

/// A result with this crate's [`Error`](enum@Error).
pub type Result<T, E = Error> = std::result::Result<T, E>;
