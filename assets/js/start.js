// Starts the page, and keeps it for visits without a network.
import init from "./app.js";

await init();

// Browsers offer it over https and on this machine alone.
const { serviceWorker } = navigator;
const isControlled = Boolean(serviceWorker?.controller);
const registration = await serviceWorker?.register("./service-worker.js").catch(() => null);
if (registration) {
  watch(registration.installing ?? registration.waiting);
  registration.addEventListener("updatefound", () => watch(registration.installing));
  // Another tab took the new version: this one has the program of the old one until it is loaded again.
  serviceWorker.addEventListener("controllerchange", () => isControlled && offer(null));
}

/** Offers the version of a service worker once it is there, if the page runs with another. */
function watch(worker) {
  if (!worker || !serviceWorker.controller) return;
  if (worker.state === "installed") return offer(worker);
  worker.addEventListener("statechange", () => worker.state === "installed" && offer(worker));
}

/** Offers the new version; it takes over when the visitor says so, or when all tabs are closed. */
function offer(worker) {
  document.querySelector(".update")?.remove();
  const note = document.createElement("p");
  note.className = "update";
  note.setAttribute("role", "status");
  const button = document.createElement("button");
  button.textContent = "Reload";
  button.addEventListener("click", () => {
    if (!worker || worker.state !== "installed") return location.reload();
    serviceWorker.addEventListener("controllerchange", () => location.reload());
    worker.postMessage("activate");
  });
  note.append("There is a new version of this page. ", button);
  document.body.prepend(note);
}
