//! A picture in some thirty characters, to stand in for it until it is there: <https://blurha.sh>.

use std::f32::consts::PI;

use image::RgbImage;

const ALPHABET: &[u8; 83] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";
/// Components across and down.
const ACROSS: u32 = 4;
const DOWN: u32 = 3;

/// The hash of a picture, which had better be small already.
#[expect(clippy::cast_precision_loss, reason = "pictures are small")]
pub(super) fn hash(picture: &RgbImage) -> String {
    let (width, height) = picture.dimensions();
    let mut factors = Vec::with_capacity((ACROSS * DOWN) as usize);
    for (j, i) in (0..DOWN).flat_map(|j| (0..ACROSS).map(move |i| (j, i))) {
        let mut sum = [0.0_f32; 3];
        for (x, y, pixel) in picture.enumerate_pixels() {
            let basis = (PI * i as f32 * x as f32 / width as f32).cos()
                * (PI * j as f32 * y as f32 / height as f32).cos();
            for (sum, value) in sum.iter_mut().zip(pixel.0) {
                *sum += basis * linear(value);
            }
        }
        let scale = if i == 0 && j == 0 { 1.0 } else { 2.0 } / (width * height) as f32;
        factors.push(sum.map(|value| value * scale));
    }
    let (average, others) = (factors[0], &factors[1..]);
    let greatest = others
        .iter()
        .flatten()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    let quantised = whole((greatest * 166.0 - 0.5).clamp(0.0, 82.0));
    let greatest = (quantised + 1) as f32 / 166.0;
    let mut text = String::with_capacity(6 + 2 * others.len());
    encode(&mut text, (ACROSS - 1) + (DOWN - 1) * 9, 1);
    encode(&mut text, quantised, 1);
    let [red, green, blue] = average.map(srgb);
    encode(&mut text, red << 16 | green << 8 | blue, 4);
    for factor in others {
        let [red, green, blue] = factor.map(|value| {
            let scaled = value / greatest;
            whole((scaled.abs().sqrt().copysign(scaled) * 9.0 + 9.5).clamp(0.0, 18.0))
        });
        encode(&mut text, red * 19 * 19 + green * 19 + blue, 2);
    }
    text
}

fn encode(text: &mut String, value: u32, digits: u32) {
    for digit in (0..digits).rev() {
        let index = value / 83_u32.pow(digit) % 83;
        text.push(char::from(ALPHABET[index as usize]));
    }
}

fn linear(value: u8) -> f32 {
    let value = f32::from(value) / 255.0;
    if value <= 0.040_45 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

fn srgb(value: f32) -> u32 {
    let value = value.clamp(0.0, 1.0);
    let value = if value <= 0.003_130_8 {
        value * 12.92
    } else {
        1.055 * value.powf(1.0 / 2.4) - 0.055
    };
    whole(value * 255.0 + 0.5)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "callers clamp it"
)]
fn whole(value: f32) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_colour_is_its_average_and_nothing_else() {
        let red = RgbImage::from_pixel(8, 8, image::Rgb([255, 0, 0]));
        let hash = hash(&red);
        assert_eq!(hash.len(), 28);
        assert!(hash.starts_with('L'), "four by three components");
        assert_eq!(
            &hash[2..6],
            "TI:j",
            "the average, as the reference implementation writes it"
        );
    }

    #[test]
    fn another_picture_has_another_hash() {
        let halves = RgbImage::from_fn(8, 8, |x, _| image::Rgb(if x < 4 { [0; 3] } else { [255; 3] }));
        let turned = RgbImage::from_fn(8, 8, |_, y| image::Rgb(if y < 4 { [0; 3] } else { [255; 3] }));
        assert_ne!(hash(&halves), hash(&turned));
    }
}
