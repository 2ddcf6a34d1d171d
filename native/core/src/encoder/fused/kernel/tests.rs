//! Every family against the definition: integers bit for bit.

use proptest::prelude::*;

use super::*;

fn check_tile<F: Family>(name: &str, a: &[i8], b: &[i8], depth: usize, rows: usize, blocks: usize) {
    let stored: Vec<u8> = a.iter().map(|&value| value as u8 ^ F::ZERO).collect();
    let column = |c: usize| {
        let block = &b[c / LANES * LANES * depth..][..LANES * depth];
        (0..depth).map(move |k| i32::from(block[k / 4 * 4 * LANES + c % LANES * 4 + k % 4]))
    };
    let starts: Vec<i32> =
        (0..blocks * LANES).map(|c| -i32::from(F::ZERO) * column(c).sum::<i32>()).collect();
    let mut out = vec![i32::MIN; TILE_ROWS * TILE_STRIDE];
    let tile = Tile {
        a: stored.as_ptr(),
        a_stride: depth,
        b: b.as_ptr(),
        depth,
        start: starts.as_ptr(),
        out: out.as_mut_ptr(),
    };
    // SAFETY: the slices have the tile's sizes; the caller has asked for the features.
    unsafe { F::tile(&tile, rows, blocks) };
    for r in 0..TILE_ROWS {
        for c in 0..TILE_STRIDE {
            let expected = if r < rows && c < blocks * LANES {
                a[r * depth..][..depth].iter().zip(column(c)).map(|(&a, b)| i32::from(a) * b).sum()
            } else {
                i32::MIN
            };
            assert_eq!(
                out[r * TILE_STRIDE + c],
                expected,
                "{name}: row {r}, column {c} of {rows} x {blocks}"
            );
        }
    }
}

/// All sizes of tiles, on operands that are cut from longer ones.
fn check_tiles<F: Family>(name: &str, a: &[i8], b: &[i8], depth: usize) {
    for rows in 1..=F::ROWS {
        for blocks in 1..=F::BLOCKS {
            check_tile::<F>(name, &a[..rows * depth], &b[..blocks * LANES * depth], depth, rows, blocks);
        }
    }
}

fn check_lanes<F: Family>(name: &str, values: &[f32; 64], bytes: &[i8; LANES]) {
    type P = <portable::Portable as Family>::V;
    // SAFETY: 64 values and 16 bytes; the caller has asked for the features.
    unsafe {
        let row = |index: usize| {
            (F::V::load(values[index * 16..].as_ptr()), P::load(values[index * 16..].as_ptr()))
        };
        let [(a, x), (b, y), (c, z), (d, w)] = [row(0), row(1), row(2), row(3)];
        let same = |what: &str, found: F::V, expected: P| {
            let (mut f, mut e) = ([0.0_f32; LANES], [0.0_f32; LANES]);
            found.store(f.as_mut_ptr());
            expected.store(e.as_mut_ptr());
            assert_eq!(f.map(f32::to_bits), e.map(f32::to_bits), "{name}: {what}: {f:?} {e:?}");
        };
        same("add", a.add(b), x.add(y));
        same("sub", a.sub(b), x.sub(y));
        same("mul", a.mul(b), x.mul(y));
        same("div", a.div(b), x.div(y));
        same("max", a.max(b), x.max(y));
        same("min", a.min(b), x.min(y));
        same("abs", a.abs(), x.abs());
        // Adding zero keeps a zero's sign from mattering.
        same("round", a.round().add(F::V::splat(0.0)), x.round().add(P::splat(0.0)));
        same("from_i8", F::V::from_i8(bytes.as_ptr()), P::from_i8(bytes.as_ptr()));
        let whole = bytes.map(i32::from);
        same("from_i32", F::V::from_i32(whole.as_ptr()), P::from_i32(whole.as_ptr()));
        let powers = whole.map(|power| (power.abs() % 133 - 126) as f32);
        same(
            "scale_by_power_of_two",
            F::V::splat(1.25).scale_by_power_of_two(F::V::load(powers.as_ptr())),
            P::splat(1.25).scale_by_power_of_two(P::load(powers.as_ptr())),
        );
        same("mul_add", a.mul_add(b, c), x.mul_add(y, z));
        let exact = F::V::load(powers.as_ptr()).mul_add(F::V::splat(3.0), F::V::splat(1.0));
        same(
            "mul_add of whole numbers",
            exact,
            P::load(powers.as_ptr()).mul_add(P::splat(3.0), P::splat(1.0)),
        );
        assert_eq!(a.sum().to_bits(), x.sum().to_bits(), "{name}: sum");
        assert_eq!(a.largest(), x.largest(), "{name}: largest");
        for flip in [0, 0x80] {
            let (mut f, mut e) = ([0_u8; LANES], [0_u8; LANES]);
            a.store_i8(f.as_mut_ptr(), flip);
            x.store_i8(e.as_mut_ptr(), flip);
            assert_eq!(f, e, "{name}: store_i8");
        }
        let (mut f, mut e) = ([0_u8; 4 * LANES], [0_u8; 4 * LANES]);
        F::V::store_interleaved_i8([a, b, c, d], f.as_mut_ptr());
        P::store_interleaved_i8([x, y, z, w], e.as_mut_ptr());
        assert_eq!(f, e, "{name}: store_interleaved_i8");
    }
}

macro_rules! each_family {
    ($check:ident, $($argument:expr),*) => {
        $check::<portable::Portable>("portable", $($argument),*);
        #[cfg(target_arch = "x86_64")]
        {
            if Kernel::Avx2.is_available() {
                $check::<avx2::Avx2>("avx2", $($argument),*);
            }
            if Kernel::AvxVnni.is_available() {
                $check::<avx2::AvxVnni>("avxvnni", $($argument),*);
            }
            if Kernel::Avx512Vnni.is_available() {
                $check::<avx512::Avx512>("avx512vnni", $($argument),*);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if Kernel::Neon.is_available() {
            $check::<neon::Neon>("neon", $($argument),*);
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 12 }))]

    #[test]
    fn tiles_are_exact(
        quarter in 1..if cfg!(miri) { 4 } else { 40_usize },
        a in prop::collection::vec(-127..=127_i8, 8 * 160),
        b in prop::collection::vec(-127..=127_i8, 48 * 160),
    ) {
        each_family!(check_tiles, &a, &b, 4 * quarter);
    }

    #[test]
    fn lanes_do_what_plain_rust_does(
        values in prop::array::uniform32((-127.0..=127.0_f32, -127.0..=127.0_f32)),
        bytes in prop::array::uniform16(any::<i8>()),
    ) {
        let values: [f32; 64] = std::array::from_fn(|i| if i < 32 { values[i].0 } else { values[i - 32].1 });
        each_family!(check_lanes, &values, &bytes);
    }
}

#[test]
fn the_largest_sums_are_exact() {
    // Interpreted, every product counts.
    let depth = if cfg!(miri) { 16 } else { 1536 };
    for (a, b) in [(127, 127), (-127, 127), (127, -127), (-127, -127)] {
        each_family!(check_tiles, &vec![a; 8 * depth], &vec![b; 48 * depth], depth);
    }
}

#[test]
fn halves_are_rounded_to_even() {
    let values: [f32; 64] = std::array::from_fn(|i| i as f32 - 31.5);
    each_family!(check_lanes, &values, &[1; LANES]);
}
