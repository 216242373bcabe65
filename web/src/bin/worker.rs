//! The worker without WebGPU.

fn main() {
    web::worker::start();
}
