//! Files that are no JPEG, PNG or WebP: what they are, by their first bytes, and what to do with them.

/// Bytes of a text in which the root element of an SVG or HTML document is looked for.
const HEAD: usize = 4096;

const AS_JPEG: &str = "save it as JPEG";
const AS_PNG: &str = "save it as PNG";

/// What a file begins with, what it is then, and what to do.
const SIGNATURES: [(&[u8], &str, &str); 16] = [
    (b"GIF87a", "GIF pictures", AS_PNG),
    (b"GIF89a", "GIF pictures", AS_PNG),
    (b"II*\0", "TIFF pictures", AS_JPEG),
    (b"MM\0*", "TIFF pictures", AS_JPEG),
    (b"\xFF\x0A", "JPEG XL pictures", AS_JPEG),
    (b"\0\0\0\x0CJXL ", "JPEG XL pictures", AS_JPEG),
    (b"\xFF\x4F\xFF\x51", "JPEG 2000 pictures", AS_JPEG),
    (b"\0\0\0\x0CjP  ", "JPEG 2000 pictures", AS_JPEG),
    (b"\0\0\x01\0", "ICO pictures", AS_PNG),
    (b"8BPS", "Photoshop pictures", AS_PNG),
    (b"%PDF-", "PDF documents", "save the page as PNG"),
    (b"%!PS", "PostScript documents", "save the page as PNG"),
    (b"\x1A\x45\xDF\xA3", "videos", "save a frame of it as JPEG"),
    (b"PK\x03\x04", "ZIP archives", "unpack it"),
    (b"\x1F\x8B", "gzip archives", "unpack it"),
    (
        b"version https://git-lfs",
        "Git LFS pointers",
        "fetch the picture with `git lfs pull`",
    ),
];

/// Why a file of another known kind is refused, and what to do; `None` for an unknown kind.
pub(super) fn refusal(bytes: &[u8]) -> Option<String> {
    let mut signatures = SIGNATURES.iter();
    let signed = signatures.find(|(signature, ..)| bytes.starts_with(signature));
    let (what, remedy) = signed
        .map(|&(_, what, remedy)| (what, remedy))
        .or_else(|| bitmap(bytes))
        .or_else(|| by_brand(bytes))
        .or_else(|| by_root_element(bytes))?;
    Some(format!("{what} cannot be read; {remedy}"))
}

/// A BMP: two letters that a text may begin with, too, but not four reserved zeros behind the size.
fn bitmap(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let is_bitmap = bytes.starts_with(b"BM") && bytes.get(6..10)? == [0; 4];
    is_bitmap.then_some(("BMP pictures", AS_PNG))
}

/// HEIC, AVIF and videos: boxes of the ISO base media format, told apart by the brands in the first.
fn by_brand(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if bytes.get(4..8)? != b"ftyp" {
        return None;
    }
    let size = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    let brands = &bytes[8..size.clamp(8, bytes.len())];
    let has = |names: &[&[u8; 4]]| {
        brands
            .chunks(4)
            .any(|brand| names.iter().any(|name| *name == brand))
    };
    Some(if has(&[b"avif", b"avis"]) {
        ("AVIF pictures", AS_JPEG)
    } else if has(&[
        b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1",
    ]) {
        ("HEIC pictures", AS_JPEG)
    } else {
        ("videos", "save a frame of it as JPEG")
    })
}

/// SVG and HTML.
fn by_root_element(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD)]).to_lowercase();
    let head = head.trim_start_matches('\u{FEFF}').trim_start();
    if !head.starts_with('<') {
        return None;
    }
    let position = |element| head.find(element).unwrap_or(usize::MAX);
    let svg = position("<svg");
    let html = position("<html").min(position("<!doctype html"));
    if svg < html {
        Some(("SVG pictures", AS_PNG))
    } else if html < usize::MAX {
        Some(("web pages (HTML)", "download the picture itself"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: &str, remedy: &str, files: &[&[u8]]) {
        for file in files {
            let refusal = refusal(file).unwrap_or_default();
            assert_eq!(
                refusal,
                format!("{kind} cannot be read; {remedy}"),
                "{:?}",
                String::from_utf8_lossy(file)
            );
        }
    }

    #[test]
    fn kinds_that_phones_and_the_web_have_are_named() {
        check(
            "HEIC pictures",
            "save it as JPEG",
            &[
                b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x10meta",
                b"\0\0\0\x1Cftypmif1\0\0\0\0mif1heicmiaf",
                b"\0\0\0\x14ftyphevc\0\0\0\0msf1",
                b"\0\0\0\x18ftypheix",
            ],
        );
        check(
            "AVIF pictures",
            "save it as JPEG",
            &[
                b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B",
                b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif",
                b"\0\0\0\x18ftypavis\0\0\0\0msf1avis",
            ],
        );
        check(
            "GIF pictures",
            "save it as PNG",
            &[b"GIF89a\x01\0\x01\0", b"GIF87a\x01\0\x01\0", b"GIF89a"],
        );
        check(
            "SVG pictures",
            "save it as PNG",
            &[
                b"<svg/>",
                b"\xEF\xBB\xBF<?xml version='1.0'?>\n<!-- drawn by hand -->\n<svg width='1'>",
                b"\n <!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN'><SVG>",
            ],
        );
        check(
            "web pages (HTML)",
            "download the picture itself",
            &[
                b"<!DOCTYPE html><html><body><svg>",
                b"<html>404",
                b"\r\n<!-- gone --><HTML lang='en'>",
            ],
        );
    }

    #[test]
    fn other_kinds_are_named() {
        check("BMP pictures", AS_PNG, &[b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0"]);
        check(
            "TIFF pictures",
            AS_JPEG,
            &[b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"],
        );
        check(
            "JPEG XL pictures",
            AS_JPEG,
            &[b"\xFF\x0A\xFA", b"\0\0\0\x0CJXL \r\n\x87\n"],
        );
        check("PDF documents", "save the page as PNG", &[b"%PDF-1.7\n"]);
        check(
            "videos",
            "save a frame of it as JPEG",
            &[
                b"\0\0\0\x18ftypmp42\0\0\0\0isom",
                b"\0\0\0\x14ftypqt  ",
                b"\x1A\x45\xDF\xA3",
            ],
        );
    }

    #[test]
    fn anything_else_has_no_name() {
        for bytes in [
            &b""[..],
            b"BM",
            b"BMW and Audi",
            b"This is no picture.",
            b"<p>",
            b"\0\0\0\x18ft",
        ] {
            assert_eq!(refusal(bytes), None, "{bytes:?}");
        }
    }
}
