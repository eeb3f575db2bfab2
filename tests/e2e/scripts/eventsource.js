// Listens to an event stream until `over` or `longwave:end` comes and, in the second case, until the
// EventSource has given up. Arguments: the address, then the event types to listen for.
const [address, ...types] = Deno.args;
const lines = [];
const source = new EventSource(address);

const finish = async () => {
  const bytes = new TextEncoder().encode(lines.map((line) => JSON.stringify(line) + "\n").join(""));
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
  Deno.exit(0);
};
const take = (event) => {
  lines.push({ type: event.type, data: event.data, id: event.lastEventId });
  if (event.type === "over") finish();
};
for (const type of new Set(["message", "over", "longwave:end", ...types])) source.addEventListener(type, take);
source.onopen = () => lines.push({ opened: performance.now() });
source.onerror = () => {
  lines.push({ error: performance.now(), closed: source.readyState === EventSource.CLOSED });
  if (source.readyState === EventSource.CLOSED) finish();
};
