// Sends texts and bytes to an echo, and asks it to close. Argument: the address.
const [address] = Deno.args;
const socket = new WebSocket(address, ["nothing.v9", "echo.v1"]);
socket.binaryType = "arraybuffer";
const texts = ["", "hello", "ünïcödé \u2028 😀", "x".repeat(70_000)];
const binary = new Uint8Array(70_000).map((_, index) => index);
const got = [];

socket.onopen = () => {
  for (const text of texts) socket.send(text);
  socket.send(binary);
};
socket.onmessage = ({ data }) => {
  const expected = got.length < texts.length ? texts[got.length] : binary;
  got.push(
    typeof data === "string"
      ? data === expected
      : data.byteLength === binary.length && new Uint8Array(data).every((byte, index) => byte === binary[index]),
  );
  if (got.length === texts.length + 1) socket.send("close 4321");
};
socket.onclose = ({ code, reason, wasClean }) => {
  console.log(JSON.stringify({ got, code, reason, wasClean, protocol: socket.protocol }));
};
