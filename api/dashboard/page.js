// The page: signed out it asks for the key, signed in it follows the stream and lists auctions.

import { SignedOut, accessKey, forgetKey, getJson, keepKey } from "/dashboard/access.js";
import { prepareAsking } from "/dashboard/ask.js";
import { keepListed } from "/dashboard/auctions.js";
import { byId } from "/dashboard/element.js";
import { forgetFeeds, keepFeeds } from "/dashboard/feeds.js";
import { showFigures } from "/dashboard/figures.js";
import { prepareLetters } from "/dashboard/letters.js";
import { forgetProjections, keepOperated, lookAgain } from "/dashboard/projections.js";
import { openStory, prepareStory, storyInAddress } from "/dashboard/story.js";
import { follow } from "/dashboard/stream.js";
import { followOwnFigures, isOperator } from "/dashboard/tenant.js";

const STALE_AFTER_MS = 5_000;
const ASK_AGAIN_MS = 2_000;

let session = new AbortController();
let stale;

function showConnection(state, text) {
  const pill = byId("connection");
  // The same text again would be read aloud again.
  if (pill.dataset.state === state && pill.textContent === text) return;
  pill.dataset.state = state;
  pill.textContent = text;
}

function onState(state, detail) {
  clearTimeout(stale);
  if (state === "connecting") showConnection("connecting", "Connecting…");
  if (state === "open") showConnection("connecting", "Waiting for figures…");
  if (state === "lost") showConnection("lost", `Lost: again in ${Math.round(detail.waitMs / 1_000)} s`);
}

function onMessage(message) {
  showFigures(message);
  showConnection("live", "Live");
  clearTimeout(stale);
  stale = setTimeout(() => showConnection("connecting", "No news from the exchange"), STALE_AFTER_MS);
}

async function signIn() {
  byId("sign-in").hidden = true;
  byId("sign-out").hidden = false;
  session = new AbortController();
  const signal = session.signal;
  try {
    const caller = await whoSignsIn(signal);
    showBoardOf(caller);
    await Promise.all(partsFor(caller, signal));
  } catch (error) {
    if (!(error instanceof SignedOut) && error.name !== "AbortError") throw error;
    if (error instanceof SignedOut) signOut("That key is not valid here.");
  }
}

/** Asks until the exchange answers: it may be on its way up again. Throws SignedOut. */
async function whoSignsIn(signal) {
  for (;;) {
    try {
      return await getJson("/v1/whoami", signal);
    } catch (error) {
      if (error instanceof SignedOut || signal.aborted) throw error;
      showConnection("lost", "The exchange does not answer");
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
  }
}

function showBoardOf(caller) {
  byId("board").hidden = false;
  byId("live").hidden = !isOperator(caller);
  byId("tenant").hidden = isOperator(caller);
  byId("last-auctions").hidden = !readsAuctions(caller);
  if (!isOperator(caller)) showConnection("live", "Signed in");
  if (readsAuctions(caller) && storyInAddress()) openStory(storyInAddress());
}

function partsFor(caller, signal) {
  const parts = isOperator(caller)
    ? [follow("/v1/live", { onMessage, onState, signal }), keepOperated(signal), keepFeeds(signal)]
    : [followOwnFigures(caller, signal)];
  return readsAuctions(caller) ? [...parts, keepListed(openStory, signal)] : parts;
}

function readsAuctions(caller) {
  return isOperator(caller) || caller.role === "publisher";
}

function signOut(reason = "") {
  session.abort();
  clearTimeout(stale);
  const wasSignedIn = accessKey() !== null;
  forgetKey();
  byId("board").hidden = true;
  for (const shown of ["tenant-figures", "auctions", "story-body", "letters-list"]) byId(shown).replaceChildren();
  for (const dialog of ["story", "letters", "ask"]) byId(dialog).close();
  forgetProjections();
  forgetFeeds();
  byId("sign-out").hidden = true;
  byId("sign-in").hidden = false;
  byId("sign-in-fault").textContent = wasSignedIn ? reason : "";
  showConnection("signed-out", "Signed out");
  byId("key").focus();
}

byId("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepKey(byId("key").value.trim());
  byId("key").value = "";
  signIn();
});
byId("sign-out").addEventListener("click", () => signOut());
prepareStory();
prepareAsking();
prepareLetters(lookAgain);
if (accessKey() === null) signOut();
else signIn();
