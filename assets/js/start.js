// Starts the page, as Trunk's loader shim starts the worker.
import init from "./app.js";

await init();
