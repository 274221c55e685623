// Reads simulations as JSON lines on stdin and prints one result per line:
// Allowed, ExplicitlyDenied or ImplicitlyDenied, or what is wrong with the simulation.
import { createInterface } from 'node:readline'

import { runSimulation } from '@cloud-copilot/iam-simulate'

for await (const line of createInterface({ input: process.stdin })) {
    const answer = await runSimulation(JSON.parse(line), { simulationMode: 'Strict' })
    console.log(answer.resultType === 'error' ? `error: ${JSON.stringify(answer.errors)}` : answer.overallResult)
}
