// Keeps the page for visits without a network. `cargo xtask` fills in the files of the build with their SHA-256.
const FILES = {/* files */};
const VERSION = "/* version */";
const PREFIX = "imn-page-";
const PAGE = PREFIX + VERSION;
// Files of the bundle come from the network where there is one, as the model's worker fetches its weights from there.
const BUNDLE = "demo/";

self.addEventListener("install", (event) => event.waitUntil(keepPage()));
self.addEventListener("activate", (event) => event.waitUntil(dropOthers()));
self.addEventListener("message", (event) => event.data === "activate" && self.skipWaiting());
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const path = inside(request.url);
  if (request.method !== "GET" || path === null) return;
  if (request.mode === "navigate" && path === "") event.respondWith(kept("index.html", request));
  else if (path in FILES) event.respondWith(path.startsWith(BUNDLE) ? newest(path, request) : kept(path, request));
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
  for (const [path, sha256] of Object.entries(FILES)) {
    let response = await fetch(path);
    if ((await hash(response)) !== sha256) response = await fetch(path, { cache: "reload" });
    if ((await hash(response)) !== sha256) throw new Error(`${path} is of another build`);
    // A copy: browsers refuse a redirected answer to a navigation.
    await cache.put(path, new Response(await response.blob(), { headers: response.headers }));
  }
}

async function hash(response) {
  const bytes = await crypto.subtle.digest("SHA-256", await response.clone().arrayBuffer());
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function dropOthers() {
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== PAGE) await caches.delete(name);
  }
}

async function kept(path, request) {
  return (await (await caches.open(PAGE)).match(path)) ?? fetch(request);
}

async function newest(path, request) {
  const cache = await caches.open(PAGE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(path, response.clone());
    return response;
  } catch (error) {
    const seen = await cache.match(path);
    if (!seen) throw error;
    return seen;
  }
}
