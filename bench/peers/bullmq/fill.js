// Puts COUNT messages into the queue, 1,000 to a call.
import { Queue } from "bullmq";

const { PEER_REDIS_PORT, PEER_REDIS_DB } = process.env;
const count = Number(process.argv[2]);
const queue = new Queue("messages", {
  connection: { host: "127.0.0.1", port: Number(PEER_REDIS_PORT), db: Number(PEER_REDIS_DB) },
  defaultJobOptions: { removeOnComplete: true, removeOnFail: 1000, attempts: 5, backoff: { type: "exponential", delay: 1000 } },
});
for (let start = 0; start < count; start += 1000) {
  const jobs = [];
  for (let number = start; number < Math.min(count, start + 1000); number++) {
    const digits = String(number).padStart(8, "0");
    jobs.push({
      name: "send",
      data: {
        phone: `+9665${digits}`,
        values: {
          first_name: "Sara",
          order_number: `B-${digits}`,
          shop: "Bench & Sons",
          carrier: "Swift Couriers",
          tracking: `SA${digits}77`,
        },
      },
    });
  }
  await queue.addBulk(jobs);
}
await queue.close();
