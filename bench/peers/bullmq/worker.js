// One BullMQ worker process: renders each message and posts it over undici's pool of kept-alive connections.
import { Worker } from "bullmq";
import { Pool } from "undici";

const { PEER_REDIS_PORT, PEER_REDIS_DB, PEER_URL, PEER_CONCURRENCY } = process.env;
const concurrency = Number(PEER_CONCURRENCY);
const url = new URL(PEER_URL);
const pool = new Pool(url.origin, { connections: Math.min(concurrency, 128), pipelining: 1 });
const headers = {
  authorization: "Bearer " + "bench-token-of-about-the-length-that-tokens-of-meta-have".repeat(3),
  "content-type": "application/json",
};
const text =
  "Hi {first_name},\n\nYour order {order_number} from {shop} has shipped.\n\nCarrier: {carrier}\n" +
  "Tracking number: {tracking}\n\nYou can follow it with the button below.";

async function send({ phone, values }) {
  const rendered = text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const parameters = Object.entries(values).map(([name, value]) => ({ type: "text", parameter_name: name, text: value }));
  const answer = await pool.request({
    method: "POST",
    path: url.pathname,
    headers,
    headersTimeout: 20_000,
    body: JSON.stringify({
      messaging_product: "whatsapp",
      recipient_type: "individual",
      to: phone,
      type: "template",
      template: { name: "order_shipped", language: { code: "en" }, components: [{ type: "body", parameters }] },
      biz_opaque_callback_data: String(rendered.length),
    }),
  });
  const body = await answer.body.json();
  if (answer.statusCode !== 200) throw new Error(`refused: ${answer.statusCode}`);
  return body.messages[0].id;
}

const worker = new Worker("messages", (job) => send(job.data), {
  connection: { host: "127.0.0.1", port: Number(PEER_REDIS_PORT), db: Number(PEER_REDIS_DB) },
  concurrency,
  removeOnComplete: { count: 0 },
  skipStalledCheck: false,
});
worker.on("error", (error) => console.error(error));
await worker.waitUntilReady();
console.log("worker is ready");
process.on("SIGTERM", () => worker.close().then(() => process.exit(0)));
