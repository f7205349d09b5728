// What an operator can have done with a projection and its generations, and what is said before it is.

import { postJson } from "/dashboard/access.js";
import { ask } from "/dashboard/ask.js";
import { bytes } from "/dashboard/format.js";

const VERIFY = { command: "verify", label: "Verify" };
const CANCEL = { command: "cancel", label: "Cancel" };
const RETIRE = { command: "retire", label: "Retire" };
const ACCEPT_DEAD_LETTERS = {
  name: "accept_dead_letters",
  label: "Accept events that cannot be applied: they become dead letters.",
};
const ACCEPT_DIFFERENCES = { name: "accept_differences", label: "Swap even if rows differ: what was wrong is to be mended." };
const SWAP = { name: "swap", label: "Let queries read it once it equals the generation they read now.", checked: true };

/** The buttons of a projection: [{command, label}]. */
export function ofProjection(projection) {
  const commands = [{ command: "rebuild", label: "Rebuild" }];
  if (projection.never_rebuilt || isUnderWay(projection) || !isTold(projection)) commands.pop();
  if (projection.status !== "paused") commands.push({ command: "pause", label: "Pause" });
  if (rests(projection)) commands.push({ command: "resume", label: "Resume" });
  return commands;
}

/** The buttons of one of its generations that queries do not read. */
export function ofGeneration({ status, of_this_version: isOurs }) {
  if (status === "building" || (status === "ready" && !isOurs)) return [CANCEL];
  if (status === "ready") return [VERIFY, { command: "swap", label: "Swap" }, CANCEL];
  return isOurs ? [VERIFY, { command: "swap", label: "Swap back" }, RETIRE] : [RETIRE];
}

/** Asks first; what came of it is handed to `done` in a sentence. */
export function order(command, projection, generation, done) {
  const path = `/v1/projections/${encodeURIComponent(projection.name)}/${command}`;
  const named = generation === undefined ? {} : { generation };
  ask({
    ...QUESTIONS[command](projection, generation),
    send: async (chosen) => {
      const answer = await postJson(path, { ...named, ...chosen });
      done(DONE[command](answer));
    },
  });
}

function rests(projection) {
  return projection.status === "paused" || (projection.status === "stopped" && isTold(projection));
}

/** Where its server does not answer, there is nothing to be mended about the projection. */
function isTold({ generation }) {
  return generation !== null;
}

/** A build that has stopped may be asked for again: then it goes on. */
function isUnderWay(projection) {
  if (isInPlace(projection)) return projection.status === "rebuilding";
  return projection.generations.some(({ status, reason }) => status === "ready" || (status === "building" && !reason));
}

function isInPlace({ generations }) {
  return generations.length === 0;
}

const DONE = {
  rebuild: ({ projection, generation }) => `Generation ${generation} of ${projection} is being built.`,
  verify: ({ projection, generation }) => `Generation ${generation} of ${projection} is being compared.`,
  swap: ({ projection, generation }) => `Queries read generation ${generation} of ${projection} now.`,
  retire: ({ projection, generation }) => `Generation ${generation} of ${projection} is retired.`,
  cancel: ({ projection, generation }) => `Generation ${generation} of ${projection} is cancelled.`,
  pause: ({ projection }) => `${projection} is paused.`,
  resume: ({ projection }) => `${projection} goes on.`,
};

const QUESTIONS = {
  rebuild: (projection) => ({
    ...(stoppedBuild(projection) ? goneOnWith(projection.name, stoppedBuild(projection)) : begun(projection)),
    choices: isInPlace(projection) ? [ACCEPT_DEAD_LETTERS] : [SWAP, ACCEPT_DIFFERENCES, ACCEPT_DEAD_LETTERS],
  }),
  verify: ({ name, generation }, other) => ({
    title: `Compare generations ${other} and ${generation} of ${name}?`,
    verb: "Verify",
    tells: ["Both are held at the same offsets for a moment, and compared row for row from there. Nothing is changed."],
  }),
  swap: ({ name, generation, generations }, other) => ({
    title: `Let queries of ${name} read generation ${other}?`,
    verb: "Swap",
    tells: [
      `Queries read generation ${generation} now; they change over in one moment, and nobody sees a gap.`,
      `Generation ${generation} is kept up to date, so that it can be swapped back until it is retired.`,
      compared(generations.find((each) => each.generation === other)),
    ],
    choices: [{ name: "accept_dead_letters", label: "Also if it has open dead letters: what they hold is missing in it." }],
  }),
  retire: ({ name }, other) => ({
    title: `Retire generation ${other} of ${name}?`,
    verb: "Retire",
    tells: ["Its tables are removed and it cannot be swapped back any more.", "Queries do not notice."],
    grave: true,
  }),
  cancel: ({ name }, other) => ({
    title: `Cancel generation ${other} of ${name}?`,
    verb: "Cancel the build",
    tells: ["What was built of it is removed.", "Queries do not notice."],
    grave: true,
  }),
  pause: ({ name }) => ({
    title: `Pause ${name}?`,
    verb: "Pause",
    tells: ["Nothing is applied to any generation of it until it is resumed, over restarts too.", "Whoever reads it sees it as it stands now."],
  }),
  resume: ({ name, reason }) => ({
    title: `Resume ${name}?`,
    verb: "Resume",
    tells: [reason ? "It tries again what it stopped at." : "It goes on where it was paused. Nothing that was logged meanwhile is missing then."],
  }),
};

const REBUILT_IN_PLACE = [
  "It is built in place, from the start of the log.",
  "Until it is done, whoever needs it works with the state known last, or does without.",
];

function begun(projection) {
  return {
    title: `Build ${projection.name} anew?`,
    verb: "Rebuild",
    tells: isInPlace(projection) ? REBUILT_IN_PLACE : rebuiltBeside(projection),
  };
}

function stoppedBuild({ generations }) {
  return generations.find(({ status, reason, of_this_version: isOurs }) => status === "building" && reason && isOurs);
}

function goneOnWith(name, { generation, reason }) {
  return {
    title: `Go on building generation ${generation} of ${name}?`,
    verb: "Go on",
    tells: [`It has stopped: ${reason}.`, "It tries that again, and goes on from there."],
  };
}

/** What is known of a generation before queries read it. */
function compared({ verification }) {
  if (!verification) return "The two were not compared: Verify does that.";
  return `Compared last: ${verification.summary}.`;
}

function rebuiltBeside({ generation, generations }) {
  const size = generations.find(({ status }) => status === "active")?.disk_bytes;
  return [
    `A new generation is built beside generation ${generation}, which everybody goes on reading.`,
    `It takes about ${size ? `${bytes(size)} of` : "as much"} disk once more, until one of the two is retired.`,
    "All workers of the projection share the work. It goes on after a crash or a restart, and can be cancelled.",
  ];
}
