// Starts the page, as Trunk's loader shim starts the worker, and keeps it for visits without a network.
import init from "./app.js";

await init();

// Browsers offer it over https and on this machine alone.
const registration = await navigator.serviceWorker?.register("./service-worker.js").catch(() => null);
registration?.addEventListener("updatefound", () => {
  const worker = registration.installing;
  worker?.addEventListener("statechange", () => {
    if (worker.state === "installed" && navigator.serviceWorker.controller) offer(worker);
  });
});

/** Offers the new version; it takes over when the visitor says so, or when all tabs are closed. */
function offer(worker) {
  const note = document.createElement("p");
  note.className = "update";
  note.setAttribute("role", "status");
  const button = document.createElement("button");
  button.textContent = "Reload";
  button.addEventListener("click", () => {
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload());
    worker.postMessage("activate");
  });
  note.append("There is a new version of this page. ", button);
  document.body.prepend(note);
}
