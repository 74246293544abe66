//! Regression, several labels, sparse tables and streams.

use std::collections::BTreeMap;

use counterweight_samplers::{
    Evening, LabelImbalance, LabelRule, MlRos, MlSmote, Origin, Quota, Relevance, Reservoir, Smogn,
    Smoter, Strategy,
};
use ndarray::{Array2, array};

fn skewed() -> (Array2<f64>, Vec<f64>, Relevance) {
    let x = Array2::from_shape_fn((200, 3), |(r, c)| ((r * 37 + c * 11 + r * r) % 53) as f64);
    let y: Vec<f64> = (0..200)
        .map(|r| match r % 20 {
            0 => 60.0 + x[[r, 0]],
            1 => -60.0 - x[[r, 1]],
            n => n as f64 / 2.0,
        })
        .collect();
    let ends = vec![[-50.0, 1.0, 0.0], [5.0, 0.0, 0.0], [50.0, 1.0, 0.0]];
    let relevance = Relevance::from_points(ends).unwrap();
    (x, y, relevance)
}

#[test]
fn rare_targets_grow_at_both_ends() {
    let (x, y, relevance) = skewed();
    let rare = |y: f64| y.abs() > 50.0;
    let plan = Smoter::new().plan(x.view(), &y, &relevance).unwrap();
    let (x2, y2) = plan.apply(x.view(), &y).unwrap();
    // Three ranges of 200 rows: 67 each.
    assert_eq!(y2.iter().filter(|y| **y > 50.0).count(), 67);
    assert_eq!(y2.iter().filter(|y| **y < -50.0).count(), 67);
    assert_eq!(y2.iter().filter(|y| !rare(**y)).count(), 67);
    for (row, planned) in plan.plan.rows().iter().enumerate() {
        if let Origin::Between { a, b, t } = planned.origin {
            assert!(rare(y[a]) && y[a].signum() == y[b].signum());
            assert!((y2[row] - (y[a] + t * (y[b] - y[a]))).abs() < 1e-12);
            // The mean by inverse distance from both.
            let from = |r: usize| {
                let gap = &x2.row(row) - &x.row(r);
                gap.dot(&gap).sqrt()
            };
            let (da, db) = (from(a), from(b));
            if da + db > 0.0 {
                let mean = (db * y[a] + da * y[b]) / (da + db);
                assert!((y2[row] - mean).abs() < 1e-9);
            }
        }
    }
    let extreme = Smoter::new().with_evening(Evening::Extreme);
    let (_, y3) = extreme.fit_resample(x.view(), &y, &relevance).unwrap();
    // Sizes 10, 180, 10 change places: 95, 5 (of 200 / (2 / 10 + 1 / 180)) and 95.
    assert_eq!(y3.iter().filter(|y| rare(**y)).count(), 2 * 97);
    assert_eq!(y3.iter().filter(|y| !rare(**y)).count(), 5);
}

#[test]
fn smogn_is_noise_where_neighbours_are_far() {
    let (x, y, relevance) = skewed();
    let plan = Smogn::new().plan(x.view(), &y, &relevance).unwrap();
    let kind =
        |wanted: fn(&Origin) -> bool| plan.plan.rows().iter().filter(|r| wanted(&r.origin)).count();
    let near = kind(|o| matches!(o, Origin::Between { .. }));
    let far = kind(|o| matches!(o, Origin::Jittered { .. }));
    assert!(near > 0 && far > 0, "{near} {far}");
    assert_eq!(near + far, 2 * (67 - 10));
    let (x2, y2) = plan.apply(x.view(), &y).unwrap();
    assert_eq!((x2.nrows(), x2.ncols(), y2.len()), (201, 3, 201));
    for (row, planned) in plan.plan.rows().iter().enumerate() {
        if let Origin::Jittered { row: base, scale, .. } = planned.origin {
            let scale = &plan.plan.scales()[scale];
            assert_eq!(scale.len(), 4);
            assert!((y2[row] - y[base]).abs() < 6.0 * scale[3]);
            assert!(y2[row] != y[base]);
        }
    }
    let message = |threshold| {
        let method = Smoter::new().with_threshold(threshold);
        method.plan(x.view(), &y, &relevance).unwrap_err().to_string()
    };
    assert!(message(0.0).contains("threshold"));
    let flat = Relevance::from_points(vec![[-1e3, 0.2, 0.0], [1e3, 0.2, 0.0]]).unwrap();
    let one = Smoter::new().plan(x.view(), &y, &flat).unwrap_err().to_string();
    assert!(one.contains("normal"), "{one}");
    let nan = Smoter::new().plan(x.view(), &[f64::NAN; 200], &relevance).unwrap_err().to_string();
    assert!(nan.contains("row 0"), "{nan}");
}

#[test]
fn minority_labels_are_those_above_the_mean() {
    let sets: Vec<Vec<usize>> = vec![vec![0], vec![0, 1], vec![0], vec![0, 2], vec![0, 1], vec![0]];
    let imbalance = LabelImbalance::of(&sets).unwrap();
    assert_eq!(imbalance.counts(), [6, 2, 1]);
    assert_eq!(imbalance.ratios(), [Some(1.0), Some(3.0), Some(6.0)]);
    assert!((imbalance.mean() - 10.0 / 3.0).abs() < 1e-12);
    assert_eq!(imbalance.minority(), [2]);
    let plan = MlRos::new().with_share(1.0).plan(&sets).unwrap();
    // One copy lowers label 2 to 7 / 2 = 3.5, the second to 8 / 3, below the mean.
    assert_eq!(plan.plan.len(), 8);
    assert!(plan.labels[6..].iter().all(|set| set == &[0, 2]));
    let half = MlRos::new().with_share(1.0 / 6.0).plan(&sets).unwrap();
    assert_eq!(half.plan.len(), 7);
    assert_eq!(LabelImbalance::from_counts(vec![4, 0, 2]).ratios()[1], None);
}

#[test]
fn synthetic_labels_are_voted() {
    let x = Array2::from_shape_fn((60, 2), |(r, c)| ((r * 37 + c * 11) % 53) as f64);
    let sets: Vec<Vec<usize>> = (0..60)
        .map(|r| {
            let mut set = vec![0];
            if r % 2 == 0 {
                set.push(1);
            }
            if r % 10 == 0 {
                set.push(2);
            }
            set
        })
        .collect();
    let plan = MlSmote::new().with_k(3).plan(&x, &sets).unwrap();
    assert_eq!(plan.plan.len(), 66);
    for set in &plan.labels[60..] {
        assert_eq!(set, &[0, 1, 2]);
    }
    let (made, labels) = plan.apply(&x).unwrap();
    assert_eq!((made.nrows(), labels.len()), (66, 66));
    let mixed: Vec<Vec<usize>> = sets
        .iter()
        .enumerate()
        .map(|(r, set)| {
            if r % 20 == 0 {
                set.iter().copied().filter(|l| *l != 1).collect()
            } else {
                set.clone()
            }
        })
        .collect();
    let of = |rule| MlSmote::new().with_k(5).with_rule(rule).plan(&x, &mixed).unwrap().labels;
    for (all, some) in of(LabelRule::Intersection)[60..].iter().zip(&of(LabelRule::Union)[60..]) {
        assert_eq!(all, &[0, 2]);
        assert_eq!(some, &[0, 1, 2]);
    }
    assert_eq!(MlSmote::new().with_k(6).plan(&x, &sets).unwrap().plan.unchanged(), [2]);
    assert!(MlSmote::new().plan(&array![[0.0]], &sets).is_err());
}

#[test]
fn quotas_are_exact_and_uniform() {
    let labels: Vec<usize> = (0..1000).map(|row| usize::from(row % 10 == 0)).collect();
    let counts = BTreeMap::from([(0, 900), (1, 100)]);
    let mut first_half = 0;
    for seed in 0..40 {
        let mut under = Quota::under(counts.clone(), &Strategy::Auto, seed).unwrap();
        let kept: Vec<usize> = labels.iter().map(|&class| under.next(class)).collect();
        assert_eq!(kept.iter().sum::<usize>(), 200);
        assert!(kept.iter().all(|&n| n <= 1));
        first_half += kept[..500].iter().sum::<usize>() - 50;
        assert_eq!(under.next(0), 0);
        let mut over = Quota::over(counts.clone(), &Strategy::Auto, seed).unwrap();
        let times: Vec<usize> = labels.iter().map(|&class| over.next(class)).collect();
        let of =
            |class| times.iter().zip(&labels).filter(|t| *t.1 == class).map(|t| t.0).sum::<usize>();
        assert_eq!((of(0), of(1)), (900, 900));
        assert!(times.iter().all(|&n| n >= 1));
    }
    // 40 × 50 expected, standard deviation about 30.
    assert!((1850..2150).contains(&first_half), "{first_half}");
    assert!(Quota::over(counts, &Strategy::Counts([(0, 5)].into()), 0).is_err());
}

#[test]
fn reservoirs_are_uniform() {
    let mut hits = [0; 20];
    for seed in 0..4000 {
        let mut reservoir = Reservoir::new(5, seed);
        (0..20).for_each(|i| reservoir.push(0, i));
        reservoir.into_items().into_iter().for_each(|(_, i)| hits[i] += 1);
    }
    // 1000 each, standard deviation 27.
    assert!(hits.iter().all(|n| (870..1130).contains(n)), "{hits:?}");
}

#[cfg(feature = "sparse")]
#[test]
fn sparse_tables_give_the_plans_of_dense_ones() {
    use counterweight_samplers::{
        Adasyn, BorderlineSmote, ClusterCentroids, CondensedNn, EditedNn, Error, GeometricSmote,
        NearMiss, NearMissVersion, NeighbourhoodCleaning, OneSidedSelection, RandomOver,
        RandomUnder, Resampler, SafeLevelSmote, Shrinkage, Smote, SmoteTomek, TomekLinks,
    };
    use sprs::{CsMat, TriMat};

    let dense = Array2::from_shape_fn((90, 12), |(r, c)| {
        let v = (r * 37 + c * 101 + r * c * 7 + r * r) % 23;
        if v < 14 { 0.0 } else { (v as f64 - 10.0) * 0.25 }
    });
    let y: Vec<usize> = (0..90).map(|r| usize::from(r % 4 == 0)).collect();
    let mut triplets = TriMat::new((90, 12));
    dense
        .indexed_iter()
        .filter(|(_, v)| **v != 0.0)
        .for_each(|((r, c), v)| triplets.add_triplet(r, c, *v));
    let sparse: CsMat<f64> = triplets.to_csr();
    let methods: Vec<Box<dyn Resampler>> = vec![
        Box::new(RandomOver::new()),
        Box::new(RandomUnder::new()),
        Box::new(Smote::new()),
        Box::new(BorderlineSmote::new()),
        Box::new(Adasyn::new()),
        Box::new(SafeLevelSmote::new()),
        Box::new(NearMiss::new()),
        Box::new(NearMiss::new().with_version(NearMissVersion::Two)),
        Box::new(TomekLinks::new()),
        Box::new(EditedNn::new()),
        Box::new(NeighbourhoodCleaning::new()),
        Box::new(OneSidedSelection::new()),
        Box::new(CondensedNn::new()),
        Box::new(SmoteTomek::new()),
    ];
    for (at, method) in methods.iter().enumerate() {
        let plan = method.plan(&sparse, &y).unwrap();
        assert_eq!(plan, method.plan(&dense, &y).unwrap(), "{at}");
        let (made, _) = plan.apply(&sparse).unwrap();
        let (expected, _) = plan.apply(&dense).unwrap();
        for (a, b) in made.to_dense().iter().zip(&expected) {
            assert!((a - b).abs() < 1e-12);
        }
        assert!(made.nnz() < made.rows() * made.cols());
    }
    let refused: [Box<dyn Resampler>; 3] = [
        Box::new(GeometricSmote::new()),
        Box::new(ClusterCentroids::new()),
        Box::new(RandomOver::new().with_shrinkage(Shrinkage::All(1.0))),
    ];
    for method in refused {
        assert!(matches!(method.plan(&sparse, &y), Err(Error::Sparse { .. })));
    }
    let by_column = sparse.to_csc();
    assert!(matches!(Smote::new().plan(&by_column, &y), Err(Error::NotCsr)));
    assert!(matches!(
        Smote::new().plan(&sparse, &y).unwrap().apply(&by_column),
        Err(Error::NotCsr)
    ));
    // Means of rows are made where they stand, from a plan of the same data in dense form.
    let plan = ClusterCentroids::new().plan(&dense, &y).unwrap();
    let (made, _) = plan.apply(&sparse).unwrap();
    for (a, b) in made.to_dense().iter().zip(&plan.apply(&dense).unwrap().0) {
        assert!((a - b).abs() < 1e-12);
    }
}

#[cfg(feature = "csv")]
#[test]
fn csv_files_are_resampled_row_by_row() {
    use counterweight_samplers::{FileError, FileResampler};

    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in.csv"), dir.path().join("out.csv"));
    let mut text = String::from("id,label,note\n");
    for row in 0..300 {
        let label = if row % 10 == 0 { "rare" } else { "common" };
        text += &format!("{row},{label},\"a, \"\"b\"\"\"\n");
    }
    std::fs::write(&input, &text).unwrap();
    let under = FileResampler::under("label").with_seed(7).csv(&input, &output).unwrap();
    assert_eq!(under.counts["common"], (270, 30));
    assert_eq!(under.counts["rare"], (30, 30));
    let made = std::fs::read_to_string(&output).unwrap();
    assert_eq!(made.lines().count(), 61);
    assert!(made.lines().skip(1).all(|line| text.contains(line)));
    let over = FileResampler::over("label").with_seed(7);
    assert_eq!(over.csv(&input, &output).unwrap().counts["rare"], (30, 270));
    assert_eq!(std::fs::read_to_string(&output).unwrap().lines().count(), 541);
    let before = std::fs::read(&output).unwrap();
    let missing = FileResampler::over("class").csv(&input, &output);
    assert!(matches!(missing, Err(FileError::NoColumn { .. })));
    std::fs::write(&input, "a,label\n1,x\n2\n").unwrap();
    let ragged = FileResampler::over("label").csv(&input, &output).unwrap_err();
    assert!(ragged.to_string().contains("in.csv"), "{ragged}");
    assert_eq!(std::fs::read(&output).unwrap(), before, "a failure leaves the file alone");
    assert!(FileResampler::over("label").csv(dir.path().join("none.csv"), &output).is_err());
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_files_are_resampled_batch_by_batch() {
    use std::fs::File;
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};
    use arrow_array::{Float64Array, Int64Array, RecordBatch, StringArray};
    use counterweight_samplers::{FileError, FileResampler};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::basic::Compression;
    use parquet::file::properties::WriterProperties;

    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in.parquet"), dir.path().join("out.parquet"));
    let rows = 5000;
    let batch = RecordBatch::try_from_iter([
        ("value", Arc::new(Float64Array::from_iter_values((0..rows).map(f64::from))) as _),
        (
            "label",
            Arc::new(Int64Array::from_iter_values((0..rows).map(|r| i64::from(r % 25 == 0)))) as _,
        ),
        ("text", Arc::new(StringArray::from_iter_values((0..rows).map(|r| format!("t{r}")))) as _),
    ])
    .unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(700))
        .build();
    let mut writer =
        ArrowWriter::try_new(File::create(&input).unwrap(), batch.schema(), Some(properties))
            .unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let read = || {
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(File::open(&output).unwrap()).unwrap();
        let mut found = Vec::new();
        for batch in builder.build().unwrap() {
            let batch = batch.unwrap();
            assert_eq!(batch.num_columns(), 3);
            let (value, label) = (batch.column(0), batch.column(1));
            let text = batch.column(2).as_string::<i32>();
            for row in 0..batch.num_rows() {
                let value = value.as_primitive::<Float64Type>().value(row);
                assert_eq!(text.value(row), format!("t{value}"));
                found.push((value, label.as_primitive::<Int64Type>().value(row)));
            }
        }
        found
    };
    let summary = FileResampler::over("label").with_seed(3).parquet(&input, &output).unwrap();
    assert_eq!(summary.counts["1"], (200, 4800));
    let found = read();
    assert_eq!(found.len(), 9600);
    assert!(found.iter().all(|(value, label)| i64::from(*value as i64 % 25 == 0) == *label));
    assert!(found.windows(2).all(|pair| pair[0].0 <= pair[1].0), "the order stays");
    FileResampler::under("label").parquet(&input, &output).unwrap();
    assert_eq!(read().len(), 400);
    let missing = FileResampler::over("class").parquet(&input, &output);
    assert!(matches!(missing, Err(FileError::NoColumn { .. })));
    let wrong = FileResampler::over("value").parquet(&input, &output);
    assert!(matches!(wrong, Err(FileError::Labels { .. })));
    std::fs::write(&input, "not parquet").unwrap();
    assert!(FileResampler::over("label").parquet(&input, &output).is_err());
    assert_eq!(read().len(), 400, "a failure leaves the file alone");
}

#[test]
fn plans_do_not_depend_on_the_threads() {
    use counterweight_samplers::{Resampler, ResamplerConfig};

    let x = Array2::from_shape_fn((240, 4), |(r, c)| ((r * 37 + c * 101 + r * r) % 97) as f64);
    let y: Vec<usize> = (0..240).map(|r| [0, 0, 0, 1, 0, 2, 0][r % 7]).collect();
    for name in ResamplerConfig::NAMES {
        let method = match ResamplerConfig::named(name).unwrap().with_seed(5) {
            ResamplerConfig::SmoteNc(one) => one.with_categorical(vec![0]).into(),
            ResamplerConfig::InstanceHardness(one) => {
                one.with_probabilities((0..240).map(|r| f64::from(r % 50) / 50.0).collect()).into()
            }
            ResamplerConfig::KMeansSmote(one) => one.with_threshold(Some(0.0)).into(),
            other => other,
        };
        let at = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| method.plan(&x, &y).unwrap().apply(&x).unwrap())
        };
        let one = at(1);
        assert_eq!(one, at(2), "{name}");
        assert_eq!(one, at(8), "{name}");
        let text = serde_json::to_string(&method).unwrap();
        assert_eq!(serde_json::from_str::<ResamplerConfig>(&text).unwrap(), method);
        assert_eq!(method.name(), *name);
    }
    assert!(ResamplerConfig::named("smoke").is_none());
    let unknown = serde_json::from_str::<ResamplerConfig>(r#"{"kind":"smote","kk":3}"#);
    assert!(unknown.unwrap_err().to_string().contains("kk"));
}

#[test]
fn a_plan_that_does_not_fit_is_refused() {
    use counterweight_samplers::{Error, Plan, Resampler, SmoteNc};

    let x = Array2::from_shape_fn((20, 3), |(r, c)| ((r * 7 + c * 3) % 5) as f64);
    let broken = |origin: &str| {
        let text = format!(r#"{{"rows":[{{"origin":{origin},"class":0}}]}}"#);
        let plan: Plan = serde_json::from_str(&text).unwrap();
        plan.apply(&x).unwrap_err()
    };
    let set = broken(r#"{"centroid":{"set":3}}"#);
    assert!(matches!(set, Error::PlanSet { index: 3, got: 0 }), "{set}");
    let scale = broken(r#"{"jittered":{"row":1,"scale":0,"draw":1}}"#);
    assert!(matches!(scale, Error::PlanSet { index: 0, got: 0 }), "{scale}");
    let row = broken(r#"{"ball":{"centre":1,"surface":20,"draw":1}}"#);
    assert!(matches!(row, Error::PlanRow { row: 20, rows: 20 }), "{row}");
    let y: Vec<usize> = (0..20).map(|r| usize::from(r % 3 == 0)).collect();
    let plan = SmoteNc::new().with_categorical(vec![2]).plan(&x, &y).unwrap();
    let narrow = x.slice_axis(ndarray::Axis(1), (..2).into()).to_owned();
    assert!(matches!(plan.apply(&narrow), Err(Error::Column { column: 2, columns: 2 })));
    assert!(serde_json::from_str::<Relevance>("[]").is_err());
    assert!(serde_json::from_str::<Relevance>("[[0,0,0],[1,1,0]]").is_ok());
}

#[test]
fn classes_without_rows_count_as_nothing() {
    use counterweight_samplers::{RandomUnder, Resampler};

    // Five of class 0, two of class 1, a class 2 that only the encoder knows.
    let x = Array2::<f64>::zeros((7, 1));
    let plan = RandomUnder::new().plan(&x, &[0, 0, 0, 0, 0, 1, 1]).unwrap();
    assert_eq!(plan.labels(), [0, 0, 1, 1]);
}

#[test]
fn identifiers_and_many_categories_do_not_exhaust_the_memory() {
    use counterweight_samplers::{
        ClassAware, Error, Imbalance, IndexSampler, Mwmote, Resampler, SmoteN, Weighted,
    };

    // Article numbers for labels.
    let labels = [0, 0, 0, 4_006_381_333_931];
    let epoch = ClassAware::new(&labels, 1).unwrap().epoch(0);
    assert_eq!(epoch.iter().filter(|row| **row == 3).count(), 2);
    assert!(Weighted::new(&labels, &[1.0, 1.0], 1).is_err());
    assert!(Weighted::new(&[usize::MAX], &[1.0], 1).is_err());
    let even = Imbalance::Exponential { factor: 10.0 };
    assert!(even.plan(&labels, 1).unwrap_err().to_string().contains("4006381333931 at row 3"));
    assert!(LabelImbalance::of(&[vec![1], vec![0, usize::MAX]]).is_err());

    // Every row a category of its own: a table of all pairs would have 80 GB.
    let x = Array2::from_shape_fn((100_000, 1), |(r, _)| r as f64);
    let y: Vec<usize> = (0..100_000).map(|r| (r % 1000).min(2)).collect();
    let plan = SmoteN::new().with_strategy(Strategy::Counts([(0, 200)].into()));
    assert_eq!(plan.plan(&x, &y).unwrap().len(), 100_100);

    let y: Vec<usize> = (0..100_000).map(|r| usize::from(r < 32_769)).collect();
    let error = Mwmote::new().plan(&x, &y).unwrap_err();
    assert!(matches!(error, Error::TooMany { class: 1, got: 32_769, most: 32_768, .. }));
}

#[cfg(feature = "burn")]
#[test]
fn balanced_batches_hold_synthetic_rows() {
    use std::sync::Arc;

    use burn::data::dataloader::{DataLoaderBuilder, batcher::Batcher};
    use burn::tensor::{Device, Int, Tensor};
    use counterweight_samplers::{
        ClassAware, PlannedDataset, PlannedItem, Resampler, SampledDataset, Smote,
    };

    struct Rows;

    impl Batcher<PlannedItem, (Tensor<2>, Tensor<1, Int>)> for Rows {
        fn batch(&self, items: Vec<PlannedItem>, device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
            let size = [items.len(), items[0].features.len()];
            let x: Vec<f32> = items.iter().flat_map(|item| item.features.clone()).collect();
            let y: Vec<i64> = items.iter().map(|item| item.class as i64).collect();
            let x = burn::tensor::TensorData::new(x, size);
            (Tensor::from_data(x, device), Tensor::from_data(y.as_slice(), device))
        }
    }

    let x = Array2::from_shape_fn((64, 3), |(r, c)| ((r * 7 + c * 3) % 31) as f32);
    let y: Vec<usize> = (0..64).map(|r| usize::from(r % 8 == 0)).collect();
    let plan = Smote::new().with_k(3).with_seed(7).plan(&x, &y).unwrap();
    let (made, labels) = plan.apply(&x).unwrap();
    let sampler = ClassAware::new(&labels, 7).unwrap();
    let rows = Arc::new(PlannedDataset::new(x.clone(), plan.clone()).unwrap());
    let epoch = SampledDataset::<_, PlannedItem>::new(rows, &sampler, 0);
    let loader =
        DataLoaderBuilder::new(Rows).batch_size(16).set_device(Device::flex()).build(epoch);
    let (mut seen, mut ones) = (0, 0);
    for batch in loader.iter() {
        let (x, y) = batch.unwrap();
        let values: Vec<f32> = x.into_data().try_to_vec().unwrap();
        let classes: Vec<i64> = y.into_data().convert::<i64>().try_to_vec().unwrap();
        for (row, class) in values.chunks(3).zip(classes) {
            let there = |(made, label): (ndarray::ArrayView1<'_, f32>, &usize)| {
                made.iter().eq(row) && *label == class as usize
            };
            assert!(made.outer_iter().zip(&labels).any(there));
            (seen, ones) = (seen + 1, ones + class);
        }
    }
    assert_eq!(seen, labels.len());
    assert!((0.3..0.7).contains(&(ones as f64 / seen as f64)));
    assert!(PlannedDataset::new(Array2::zeros((3, 3)), plan).is_err());
}
