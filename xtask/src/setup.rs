//! Gets the tools that a machine with rustup, a C compiler, git, Node and Python lacks.

use std::env::consts::EXE_SUFFIX;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::command::{cargo, forget_package, output, root, run, target};

const TRUNK: &str = "0.21.14";
/// The version of npm's `binaryen`; `Trunk.toml` names the number that its wasm-opt prints.
const BINARYEN: &str = "132.0.0";
/// The version of npm's `axe-core`.
const AXE: &str = "4.14.1";
const ONNX_RUNTIME: &str = "1.30.0";

/// Where the page's build tools lie.
pub(crate) struct PageTools {
    path: OsString,
}

impl PageTools {
    /// Trunk, in the repository.
    pub(crate) fn trunk(&self) -> Command {
        let mut command = self.on_path("trunk");
        // Else it asks the network for its own newest version.
        command.env("TRUNK_SKIP_VERSION_CHECK", "true");
        command
    }

    /// Any program, in the repository, with the tools on its `PATH`.
    pub(crate) fn on_path(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", &self.path).current_dir(root());
        forget_package(&mut command);
        command
    }
}

/// The wasm32 target, Trunk, wasm-bindgen of Cargo.lock's version and wasm-opt, installed where they are missing.
///
/// # Errors
///
/// If one cannot be installed.
pub(crate) fn page_tools() -> anyhow::Result<PageTools> {
    wasm_target()?;
    // Nothing is downloaded through them, so neither needs TLS.
    let offline = ["--locked", "--no-default-features"];
    cargo_tool("trunk", "trunk", TRUNK, &offline, "0")?;
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("read Cargo.lock")?;
    let wasm_bindgen = locked_version(&lock, "wasm-bindgen");
    let wasm_bindgen = wasm_bindgen.context("Cargo.lock names no wasm-bindgen")?;
    // Not locked: its lock file names a version that was withdrawn.
    cargo_tool(
        "wasm-bindgen-cli",
        "wasm-bindgen",
        wasm_bindgen,
        &["--no-default-features"],
        "1",
    )?;
    let folders = [wasm_opt()?, cargo_bin()?];
    let before = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&before)))?;
    Ok(PageTools { path })
}

fn wasm_target() -> anyhow::Result<()> {
    const WASM: &str = "wasm32-unknown-unknown";
    let sysroot = output(
        Command::new("rustc")
            .args(["--print", "sysroot"])
            .current_dir(root()),
    )
    .context("there is no rustc")?;
    if Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(WASM)
        .exists()
    {
        return Ok(());
    }
    run(Command::new("rustup")
        .args(["target", "add", WASM])
        .current_dir(root()))
}

/// Installs a program where cargo installs programs, unless this version is there.
fn cargo_tool(
    package: &str,
    program: &str,
    version: &str,
    options: &[&str],
    opt_level: &str,
) -> anyhow::Result<()> {
    let installed = cargo_bin()?.join(format!("{program}{EXE_SUFFIX}"));
    let says = output(Command::new(&installed).arg("--version")).unwrap_or_default();
    if says.split_whitespace().nth(1) == Some(version) {
        return Ok(());
    }
    println!("Installing {package} {version}: some minutes, once.");
    let mut install = cargo();
    install.args(["install", package, "--version", version]);
    install.args(options);
    // A tool runs for seconds: without optimisation of its code it is installed in half the time.
    install
        .env("CARGO_TARGET_DIR", target().join("tools/build"))
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", opt_level)
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    run(&mut install)
}

/// Where `cargo install` puts programs.
fn cargo_bin() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("CARGO_INSTALL_ROOT")
        .or_else(|| std::env::var_os("CARGO_HOME"))
        .map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    Ok(home.context("there is no home folder")?.join("bin"))
}

/// The version of a package in Cargo.lock.
fn locked_version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, after) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    after.split('"').next()
}

/// The folder of wasm-opt.
fn wasm_opt() -> anyhow::Result<PathBuf> {
    npm_package("binaryen", BINARYEN)?;
    Ok(target().join("tools/node_modules/.bin"))
}

/// The script of axe, which finds what keeps people out of a page.
///
/// # Errors
///
/// If npm cannot install it.
pub(crate) fn axe() -> anyhow::Result<PathBuf> {
    Ok(npm_package("axe-core", AXE)?.join("axe.min.js"))
}

/// The folder of ONNX Runtime Web, the peer of the page's benchmark.
///
/// # Errors
///
/// If npm cannot install it.
pub(crate) fn onnx_runtime() -> anyhow::Result<PathBuf> {
    npm_package("onnxruntime-web", ONNX_RUNTIME)
}

/// The folder of a package of npm, installed where it is missing.
fn npm_package(name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let tools = target().join("tools");
    let folder = tools.join("node_modules").join(name);
    let installed = fs::read_to_string(folder.join("package.json")).unwrap_or_default();
    if !installed.contains(&format!("\"version\": \"{version}\"")) {
        println!("Installing {name}, once.");
        fs::create_dir_all(&tools)?;
        let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
        let mut install = Command::new(npm);
        install.args(["install", "--no-audit", "--no-fund", "--prefix"]);
        run(install.arg(&tools).arg(format!("{name}@{version}")))?;
    }
    Ok(folder)
}

/// Chromium for the browser tests.
///
/// # Errors
///
/// One line that says what to install, where this program cannot.
pub(crate) fn chromium() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM").map(PathBuf::from) {
        if named.exists() {
            return Ok(named);
        }
        bail!("the variable CHROMIUM names {named:?}, which does not exist");
    }
    if let Some(found) = find_chromium() {
        return Ok(found);
    }
    apt_install("chromium").context(
        "the browser tests need Chromium: install it, or name a Chrome in the variable CHROMIUM",
    )?;
    find_chromium().context("Chromium was installed but is not where Debian puts it")
}

fn find_chromium() -> Option<PathBuf> {
    let usual = [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
        "/usr/bin/google-chrome-stable",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "C:/Program Files/Google/Chrome/Application/chrome.exe",
    ];
    usual
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
}

/// Vulkan's loader, for the native WGPU tests; other systems have an interface of their own.
///
/// # Errors
///
/// One line that says what to install, where this program cannot.
pub(crate) fn vulkan() -> anyhow::Result<()> {
    let folders = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
    ];
    let exists = |folder: &str| Path::new(folder).join("libvulkan.so.1").exists();
    if !cfg!(target_os = "linux") || folders.iter().any(|folder| exists(folder)) {
        return Ok(());
    }
    apt_install("libvulkan1").context("the WGPU tests need Vulkan's loader: install libvulkan1")
}

/// Installs a Debian package; only root can.
fn apt_install(package: &str) -> anyhow::Result<()> {
    let is_root = output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    if !is_root || !Path::new("/usr/bin/apt-get").exists() {
        bail!("not root on a Debian");
    }
    println!("Installing {package}, once.");
    run(Command::new("apt-get").arg("update"))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--no-install-recommends", package]);
    run(install.env("DEBIAN_FRONTEND", "noninteractive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_lock_file() {
        let lock = "[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.80\"\n\n[[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(locked_version(lock, "wasm-bindgen"), Some("0.2.130"));
        assert_eq!(locked_version(lock, "bindgen"), None);
    }
}
