//! How alike two pictures are: SSIM and PSNR of their luma.

/// Side of the blocks that windows are made of; a window is two by two blocks.
const BLOCK: usize = 4;
/// Stabilising constants of SSIM for 8-bit samples.
const C1: f64 = 0.01 * 255.0 * 0.01 * 255.0;
const C2: f64 = 0.03 * 255.0 * 0.03 * 255.0;
/// PSNR of equal pictures, dB: infinite, but then no mean would be.
const EQUAL: f64 = 100.0;

/// Likeness of two pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// Structural similarity, 1 for equal pictures.
    pub ssim: f64,
    /// Peak signal to noise ratio, dB; at most 100.
    pub psnr: f64,
}

/// Sums over samples of two pictures: of each, of their squares together, of their products.
#[derive(Clone, Copy, Default)]
struct Sums {
    a: u32,
    b: u32,
    squares: u32,
    products: u32,
}

impl Sums {
    fn of(a: &[u8], b: &[u8], width: usize, x: usize, y: usize) -> Self {
        let mut sums = Self::default();
        for row in y..y + BLOCK {
            let range = row * width + x..row * width + x + BLOCK;
            for (&a, &b) in a[range.clone()].iter().zip(&b[range]) {
                let (a, b) = (u32::from(a), u32::from(b));
                sums.a += a;
                sums.b += b;
                sums.squares += a * a + b * b;
                sums.products += a * b;
            }
        }
        sums
    }

    fn plus(self, other: Self) -> Self {
        Self {
            a: self.a + other.a,
            b: self.b + other.b,
            squares: self.squares + other.squares,
            products: self.products + other.products,
        }
    }

    fn ssim(self) -> f64 {
        let samples = (4 * BLOCK * BLOCK) as f64;
        let (a, b) = (f64::from(self.a) / samples, f64::from(self.b) / samples);
        let variances = f64::from(self.squares) / samples - a * a - b * b;
        let covariance = f64::from(self.products) / samples - a * b;
        (2.0 * a * b + C1) * (2.0 * covariance + C2) / ((a * a + b * b + C1) * (variances + C2))
    }
}

/// Compares two pictures of `width` samples a row, both of the same size and at least 8 by 8: SSIM is the mean over
/// windows of 8 by 8 samples, four apart.
pub fn likeness(a: &[u8], b: &[u8], width: usize) -> Likeness {
    let (across, down) = (width / BLOCK, a.len() / width.max(1) / BLOCK);
    let row_of = |y: usize| -> Vec<Sums> {
        (0..across).map(|x| Sums::of(a, b, width, x * BLOCK, y * BLOCK)).collect()
    };
    let (mut sum, mut windows) = (0.0, 0);
    let mut above: Option<Vec<Sums>> = None;
    for y in 0..down {
        let row = row_of(y);
        if let Some(above) = above {
            for (upper, lower) in above.windows(2).zip(row.windows(2)) {
                sum += upper[0].plus(upper[1]).plus(lower[0]).plus(lower[1]).ssim();
                windows += 1;
            }
        }
        above = Some(row);
    }
    let error: u64 = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
    let psnr = match error {
        0 => EQUAL,
        _ => (10.0 * (255.0 * 255.0 * a.len() as f64 / error as f64).log10()).min(EQUAL),
    };
    Likeness { ssim: sum / f64::from(windows.max(1)), psnr }
}

/// Mean and best of many pictures' likenesses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    count: u32,
    sum: [f64; 2],
    best: [f64; 2],
}

impl Summary {
    /// Counts one picture in.
    pub fn add(&mut self, likeness: Likeness) {
        let figures = [likeness.ssim, likeness.psnr];
        for ((sum, best), figure) in self.sum.iter_mut().zip(&mut self.best).zip(figures) {
            *sum += figure;
            *best = if self.count == 0 { figure } else { best.max(figure) };
        }
        self.count += 1;
    }

    /// How many pictures were counted in.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The mean over them.
    pub fn mean(&self) -> Likeness {
        let [ssim, psnr] = self.sum.map(|sum| sum / f64::from(self.count.max(1)));
        Likeness { ssim, psnr }
    }

    /// The best of each figure, not necessarily of one picture.
    pub fn best(&self) -> Likeness {
        let [ssim, psnr] = self.best;
        Likeness { ssim, psnr }
    }
}
