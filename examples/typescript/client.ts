// A client in TypeScript, with nothing of RemoteMedia's but its .proto files.
//
//   $ npm ci && npm run build
//   $ node build/client.js localhost:50051

import { fileURLToPath } from "node:url";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const FILES = ["execution", "streaming", "control"].map(
  (name) => `protos/remotemedia/v1/${name}.proto`,
);

// What of the messages is used here; proto-loader reads the rest from the files.
interface DataBuffer {
  text?: { text_data: Buffer };
  json?: { json_payload: string };
}
interface StreamResponse {
  response: "ready" | "result" | "error" | "metrics" | "closed";
  ready?: { session_id: string };
  result?: { sequence: string; data_outputs: Record<string, DataBuffer> };
  error?: { error_type: string; message: string; failing_node_id: string };
  closed?: { reason: string };
}
interface ExecuteResponse {
  outcome: "result" | "error";
  result?: { data_outputs: Record<string, DataBuffer> };
  error?: { error_type: string; message: string; failing_node_id: string };
}

const definition = loadSync(FILES, { includeDirs: [ROOT], keepCase: true, oneofs: true, enums: String });
const { remotemedia } = grpc.loadPackageDefinition(definition) as any;
const address = process.argv[2] ?? "localhost:50051";
const credentials = grpc.credentials.createInsecure();
const metadata = new grpc.Metadata();
if (process.env.REMOTEMEDIA_TOKEN) {
  metadata.set("authorization", `Bearer ${process.env.REMOTEMEDIA_TOKEN}`);
}

function manifest(name: string, id: string, nodeType: string, params: object = {}) {
  const node = { id, node_type: nodeType, params: JSON.stringify(params) };
  return { version: "v1", metadata: { name }, nodes: [node], connections: [] };
}

function calculate(client: any, input: object): Promise<ExecuteResponse> {
  const request = {
    manifest: manifest("sum", "calculator", "CalculatorNode"),
    data_inputs: { calculator: { json: { json_payload: JSON.stringify(input) } } },
    client_version: "v1",
  };
  return new Promise((resolve, reject) => {
    client.ExecutePipeline(request, metadata, (error: Error | null, response: ExecuteResponse) =>
      error ? reject(error) : resolve(response),
    );
  });
}

// Sends a text in pieces, as a language model gives it, and prints the sentences that come back.
async function collect(client: any, control: any): Promise<void> {
  const stream = client.StreamPipeline(metadata);
  stream.write({ init: { manifest: manifest("speech", "collector", "TextCollectorNode"), client_version: "v1" } });
  for await (const response of stream as AsyncIterable<StreamResponse>) {
    if (response.ready) {
      await watch(control, response.ready.session_id);
      for (const [sequence, piece] of ["It is rai", "ning. Take an umb", "rella."].entries()) {
        const buffer = { text: { text_data: Buffer.from(piece), encoding: "utf-8" } };
        stream.write({ data_chunk: { node_id: "collector", buffer, sequence } });
      }
      stream.write({ control: { command: "COMMAND_CLOSE" } });
      stream.end();
    } else if (response.result) {
      for (const [node, output] of Object.entries(response.result.data_outputs)) {
        console.log(`${node}: ${output.text?.text_data.toString()}`);
      }
    } else if (response.error) {
      throw new Error(`${response.error.error_type}: ${response.error.message}`);
    } else if (response.closed) {
      console.log(`closed: ${response.closed.reason}`);
    }
  }
}

// Attaches to a session, as a console beside it would.
function watch(control: any, sessionId: string): Promise<void> {
  const hands = control.Attach(metadata);
  const attached = new Promise<void>((resolve, reject) => {
    hands.on("data", (event: any) => {
      if (event.event === "attached") resolve();
      if (event.event === "session_closed") console.log(`watched: ${event.session_closed.reason}`);
    });
    hands.on("error", reject);
  });
  hands.write({ hello: { session_id: sessionId, attach_id: "example" } });
  return attached;
}

const { PipelineExecutionService, StreamingPipelineService, PipelineControl } = remotemedia.v1;
const execution = new PipelineExecutionService(address, credentials);
const streaming = new StreamingPipelineService(address, credentials);
const control = new PipelineControl(address, credentials);

const done = await calculate(execution, { operation: "add", operands: [2, 3] });
console.log(`calculator: ${done.result?.data_outputs.calculator?.json?.json_payload}`);
const failed = await calculate(execution, { operation: "divide", operands: [2, 0] });
console.log(`${failed.error?.error_type} in ${failed.error?.failing_node_id}`);
await collect(streaming, control);
