//! How rows are spread over a device.

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::client::Client;
use cubecl::ir::features::Plane;
use cubecl::ir::{ElemType, FloatKind, IntKind};
use cubecl::prelude::*;

/// Units of a cube.
pub(super) const UNITS: usize = 256;
/// Rows with fewer numbers are read by a single unit.
const NARROW: usize = 12;
/// Units of a wide row where planes do not serve.
const LANES: u32 = 32;
/// Cubes at most: beyond, each takes rows in turns, since beginning a cube costs about as much as
/// a short row.
const CUBES: usize = 4096;

/// How the units of a row put together what each has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Share {
    /// A unit alone.
    Alone,
    /// The units are so many neighbours in a plane (warp, subgroup), a power of two.
    Plane(u32),
    /// By shared memory, in halves.
    Memory,
}

impl Share {
    /// Halvings of the units in a plane until one is left.
    fn halvings(self) -> u32 {
        match self {
            Self::Plane(units) => units.ilog2(),
            _ => 0,
        }
    }
}

/// The sum of the numbers that the units of a row have. Every unit of the cube must come here.
#[cube]
pub(super) fn total<N: Size>(part: Vector<f32, N>, #[comptime] share: Share) -> f32 {
    let mut sum = 0.0f32;
    #[unroll]
    for k in 0..N::value() {
        sum += part.extract(k);
    }
    #[unroll]
    for k in 0..comptime!(share.halvings()) {
        sum += plane_shuffle_xor(sum, 1u32 << k);
    }
    if comptime!(share == Share::Memory) {
        let mut memory = Shared::<[f32]>::new_slice(UNITS);
        let own = UNIT_POS as usize;
        memory[own] = sum;
        sync_cube();
        let mut half = CUBE_DIM_X / 2;
        while half > 0 {
            if UNIT_POS_X < half {
                memory[own] += memory[own + half as usize];
            }
            sync_cube();
            half /= 2;
        }
        sum = memory[own - UNIT_POS_X as usize];
        sync_cube();
    }
    sum
}

/// The largest of the numbers that the units of a row have. As [`total`].
#[cube]
pub(super) fn largest<N: Size>(part: Vector<f32, N>, #[comptime] share: Share) -> f32 {
    let mut top = part.extract(0usize);
    #[unroll]
    for k in 1usize..N::value() {
        top = max(top, part.extract(k));
    }
    #[unroll]
    for k in 0..comptime!(share.halvings()) {
        top = max(top, plane_shuffle_xor(top, 1u32 << k));
    }
    if comptime!(share == Share::Memory) {
        let mut memory = Shared::<[f32]>::new_slice(UNITS);
        let own = UNIT_POS as usize;
        memory[own] = top;
        sync_cube();
        let mut half = CUBE_DIM_X / 2;
        while half > 0 {
            if UNIT_POS_X < half {
                memory[own] = max(memory[own], memory[own + half as usize]);
            }
            sync_cube();
            half /= 2;
        }
        top = memory[own - UNIT_POS_X as usize];
        sync_cube();
    }
    top
}

/// The row of this unit at a turn; each cube has `CUBE_DIM_Y` of them. Units beyond the last row do
/// that one again, since the others of the cube may wait for them.
#[cube]
pub(super) fn row(rows: u32, turn: u32) -> usize {
    let cube = CUBE_POS + turn as usize * CUBE_COUNT;
    let row = cube * CUBE_DIM_Y as usize + UNIT_POS_Y as usize;
    min(row, rows as usize - 1)
}

/// A matrix whose rows are read by several units each, or by one where they are short.
pub(super) struct Rows {
    pub(super) client: Client,
    pub(super) rows: usize,
    columns: usize,
    /// Numbers that a unit reads at once.
    pub(super) vector: usize,
    /// Units of a row.
    lanes: u32,
    pub(super) share: Share,
    device: burn_cubecl::CubeDevice,
}

impl Rows {
    /// The rows of the first tensor; none where the kernels do not serve or a tensor is not in f32.
    pub(super) fn of(tensors: &[&CubeTensor]) -> Option<Self> {
        let floats = tensors.iter().all(|tensor| tensor.dtype == DType::F32);
        if floats { Self::shaped(tensors[0]) } else { None }
    }

    /// The same for tensors of one type, which may be half precision, and that type.
    pub(super) fn alike(tensors: &[&CubeTensor]) -> Option<(Self, ElemType)> {
        let dtype = tensors[0].dtype;
        let alike = tensors.iter().all(|tensor| tensor.dtype == dtype);
        if alike { Some((Self::shaped(tensors[0])?, float(dtype)?)) } else { None }
    }

    fn shaped(first: &CubeTensor) -> Option<Self> {
        let shape = first.shape();
        let [rows, columns] = [shape[0], shape[1]];
        // Kernels count on the highest bit of the rows being 0.
        let counted = (1..=i32::MAX as usize).contains(&rows) && columns > 0;
        if !counted || rows * columns >= u32::MAX as usize {
            return None;
        }
        let properties = first.client.properties();
        let hardware = &properties.hardware;
        if UNITS > hardware.max_units_per_cube as usize {
            return None;
        }
        let plane = hardware.plane_size_max;
        let planes = properties.features.plane.contains(Plane::Ops)
            && hardware.plane_size_min == plane
            && UNITS.is_multiple_of(plane as usize);
        // Every unit of a row has something to read.
        let vector = [4, 2].into_iter().find(|&n| columns.is_multiple_of(n)).unwrap_or(1);
        let halves = |most: u32| 1 << (columns / vector).min(most as usize).ilog2();
        let (lanes, share) = match planes {
            _ if columns < NARROW => (1, Share::Alone),
            true => (halves(plane), Share::Plane(halves(plane))),
            false => (halves(LANES), Share::Memory),
        };
        let (client, device) = (first.client.clone(), first.device.clone());
        Some(Self { client, rows, columns, vector, lanes, share, device })
    }

    /// Rows of which a kernel reads so many numbers at once, whoever its units are.
    pub(super) fn by_vectors(first: &CubeTensor, vector: usize) -> Self {
        let shape = first.shape();
        let (client, device) = (first.client.clone(), first.device.clone());
        let (rows, columns, share) = (shape[0], shape[1], Share::Alone);
        Self { client, rows, columns, vector, lanes: 1, share, device }
    }

    pub(super) fn vectors(&self) -> usize {
        self.columns / self.vector
    }

    /// 1 / columns.
    pub(super) fn share_of_one(&self) -> f32 {
        1.0 / self.columns as f32
    }

    pub(super) fn cube(&self) -> CubeDim {
        CubeDim::new_2d(self.lanes, UNITS as u32 / self.lanes)
    }

    pub(super) fn count(&self) -> CubeCount {
        CubeCount::Static(self.cubes().min(CUBES) as u32, 1, 1)
    }

    /// Turns in which the cubes go over all rows.
    pub(super) fn turns(&self) -> u32 {
        self.cubes().div_ceil(CUBES) as u32
    }

    /// Cubes for all rows at once.
    fn cubes(&self) -> usize {
        (self.rows * self.lanes as usize).div_ceil(UNITS)
    }

    /// Cubes with a unit for each vector.
    pub(super) fn flat(&self) -> (CubeCount, CubeDim) {
        self.flat_rows(self.rows)
    }

    /// Cubes with a unit for each vector of so many rows.
    pub(super) fn flat_rows(&self, rows: usize) -> (CubeCount, CubeDim) {
        let cube = CubeDim::new_1d(UNITS as u32);
        let units = rows * self.vectors();
        (calculate_cube_count_elemwise(&self.client, units, cube), cube)
    }

    /// A matrix of these rows as a kernel reads it, and the vectors from one row to the next.
    pub(super) fn read(&self, tensor: CubeTensor) -> (BufferArg, u32) {
        let (tensor, stride) = self.spaced(tensor);
        (tensor.into_buffer_arg(), stride)
    }

    /// A matrix of these rows, and the vectors from one row to the next: on CUDA burn lets rows begin
    /// at round addresses, and a copy without the gaps costs as much as the work on it.
    pub(super) fn spaced(&self, tensor: CubeTensor) -> (CubeTensor, u32) {
        let strides = tensor.meta.strides();
        let (stride, offset) = (strides[0], tensor.handle.offset_start.unwrap_or(0));
        let serves = !tensor.meta.is_tiled()
            && strides[1] == 1
            && stride >= self.columns
            && stride.is_multiple_of(self.vector)
            && offset.is_multiple_of((tensor.dtype.size() * self.vector) as u64)
            && self.rows * stride < u32::MAX as usize;
        if serves {
            return (tensor, (stride / self.vector) as u32);
        }
        (into_contiguous(tensor), self.vectors() as u32)
    }

    /// Room for a number of each row.
    pub(super) fn one_each(&self) -> CubeTensor {
        self.empty([self.rows, 1], DType::F32)
    }

    /// Room for a matrix of the input's shape.
    pub(super) fn like_input(&self) -> CubeTensor {
        self.empty([self.rows, self.columns], DType::F32)
    }

    /// Room for so many rows of the input's width.
    pub(super) fn lines(&self, rows: usize, dtype: DType) -> CubeTensor {
        self.empty([rows, self.columns], dtype)
    }

    /// Room for a matrix.
    pub(super) fn empty(&self, shape: [usize; 2], dtype: DType) -> CubeTensor {
        let (client, device) = (self.client.clone(), self.device.clone());
        empty_device_contiguous_dtype(client, device, shape.into(), dtype)
    }
}

/// Room for a list of n numbers where a tensor is.
pub(super) fn list(like: &CubeTensor, n: usize) -> CubeTensor {
    let (client, device) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, [n].into(), DType::F32)
}

/// An input without gaps.
pub(super) fn contiguous(tensor: CubeTensor) -> BufferArg {
    into_contiguous(tensor).into_buffer_arg()
}

/// A type of floats that the kernels compute in f32.
pub(super) fn float(dtype: DType) -> Option<ElemType> {
    let kind = match dtype {
        DType::F32 => FloatKind::F32,
        DType::F16 => FloatKind::F16,
        DType::BF16 => FloatKind::BF16,
        _ => return None,
    };
    Some(ElemType::Float(kind))
}

/// The type of class ids.
pub(super) fn elements(ids: &CubeTensor) -> ElemType {
    match ids.dtype {
        DType::I64 => ElemType::Int(IntKind::I64),
        _ => ElemType::Int(IntKind::I32),
    }
}
