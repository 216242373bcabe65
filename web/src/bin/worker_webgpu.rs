//! The worker with WebGPU beside the CPU.

fn main() {
    web::worker::start();
}
