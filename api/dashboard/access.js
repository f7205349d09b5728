// The access key: from the address's fragment (which no server ever sees), kept for this tab only.

const STORED = "gavel-key";

/** The key of this tab, or null. One in the fragment is taken over and removed from the address bar. */
export function accessKey() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("key");
  if (given) {
    sessionStorage.setItem(STORED, given);
    fragment.delete("key");
    const rest = fragment.toString();
    history.replaceState(null, "", location.pathname + location.search + (rest ? `#${rest}` : ""));
  }
  return sessionStorage.getItem(STORED);
}

export function keepKey(key) {
  sessionStorage.setItem(STORED, key);
}

export function forgetKey() {
  sessionStorage.removeItem(STORED);
}

export class SignedOut extends Error {}

/** GETs JSON with the key; throws SignedOut for 401, else an Error with the problem's own words. */
export async function getJson(path, signal) {
  const response = await authorizedFetch(path, "application/json", signal);
  return response.json();
}

/** POSTs JSON with the key and returns the JSON of the answer; throws as `getJson`. */
export async function postJson(path, body) {
  const sent = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await authorizedFetch(path, "application/json", undefined, sent);
  return response.json();
}

export async function authorizedFetch(path, accept, signal, { headers = {}, ...sent } = {}) {
  const key = accessKey();
  if (key === null) throw new SignedOut();
  const response = await fetch(path, {
    ...sent,
    headers: { ...headers, Accept: accept, Authorization: `Bearer ${key}` },
    cache: "no-store",
    signal,
  });
  if (response.status === 401) throw new SignedOut();
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    const faults = (problem.errors ?? []).map(({ path, message }) => `${path} ${message}`.trim()).join("; ");
    throw new Error(problem.detail || faults || problem.title || `the server answered ${response.status}`);
  }
  return response;
}
