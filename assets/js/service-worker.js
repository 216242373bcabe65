// Keeps the page for visits without a network. `cargo xtask` fills in the files of the build with their SHA-256.
const FILES = {/* files */};
const VERSION = "/* version */";
const PREFIX = "imn-page-";
const PAGE = PREFIX + VERSION;
// Files of the bundle come from the network where there is one, as the model's worker fetches its weights from there.
const BUNDLE = "demo/";
// Kept once it was asked for on a visit that began with this worker.
const ON_DEMAND = "worker_webgpu";
/** Milliseconds. */
const PATIENCE = 4000;

self.addEventListener("install", (event) => event.waitUntil(keepPage()));
self.addEventListener("activate", (event) => event.waitUntil(dropOthers()));
self.addEventListener("message", (event) => event.data === "activate" && self.skipWaiting());
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const path = inside(request.url);
  if (request.method !== "GET" || path === null) return;
  if (request.mode === "navigate" && path === "") event.respondWith(kept("index.html"));
  else if (path in FILES) event.respondWith(path.startsWith(BUNDLE) ? newest(path, request) : kept(path));
});

/** The path inside the page's folder, or null for another address. */
function inside(address) {
  const { scope } = self.registration;
  const [place] = address.split(/[?#]/);
  return place.startsWith(scope) ? decodeURIComponent(place.slice(scope.length)) : null;
}

/** Fetches all files of this build. One of another build fails the installation, so that no visit mixes two. */
async function keepPage() {
  const cache = await caches.open(PAGE);
  for (const path of Object.keys(FILES)) {
    if (!path.startsWith(ON_DEMAND)) await cache.put(path, await ofThisBuild(path));
  }
}

async function ofThisBuild(path) {
  const sha256 = FILES[path];
  const file = (await fetched(path, sha256, "default")) ?? (await fetched(path, sha256, "reload"));
  if (!file) throw new Error(`${path} is of another build`);
  return file;
}

/** The file, if it has this hash. It is a copy: browsers refuse a redirected answer to a navigation. */
async function fetched(path, sha256, cache) {
  const response = await fetch(path, { cache });
  const bytes = await response.arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const type = response.headers.get("content-type") ?? "";
  return hash === sha256 ? new Response(bytes, { headers: { "content-type": type } }) : null;
}

async function dropOthers() {
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== PAGE) await caches.delete(name);
  }
}

async function kept(path) {
  const cache = await caches.open(PAGE);
  const seen = await cache.match(path);
  if (seen) return seen;
  const file = await ofThisBuild(path);
  // A full store is no reason to give nothing.
  await cache.put(path, file.clone()).catch(() => {});
  return file;
}

/** The file of the network, else of the last visit: where there is no answer, or none for some seconds. */
async function newest(path, request) {
  const cache = await caches.open(PAGE);
  try {
    const response = await fetch(request, { signal: AbortSignal.timeout(PATIENCE) });
    if (response.ok) await cache.put(path, response.clone());
    return response;
  } catch (error) {
    const seen = await cache.match(path);
    if (!seen) throw error;
    return seen;
  }
}
