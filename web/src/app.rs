//! The page: mounts the components. The state is in `client`, the model in the worker.

mod browser;
mod client;
#[expect(unreachable_pub, reason = "the component macro writes public builders")]
mod components;
mod connection;
mod state;

fn main() {
    console_error_panic_hook::set_once();
    leptos::mount::mount_to_body(components::Page);
}
