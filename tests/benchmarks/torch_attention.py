"""A bidirectional encoder and a decoder with additive attention in PyTorch: a peer for `training.py --attention`.

    python tests/benchmarks/torch_attention.py --train train.tsv [--cell gru] [--epochs 5]

Needs PyTorch alone. The network is that of `Encoder(bidirectional=True)` and `Decoder(attention="additive")`: each
direction has `--units`, a dense layer brings both final states to the decoder, which attends after its recurrent layer.
Batches are sorted by length once. It prints the tokens a second of each epoch: tokens of the source, and labels.
"""

import argparse
import random
import time


def read(path):
    """Returns pairs of characters and tokens."""
    with open(path, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return [(list(source), target.split()) for source, target in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True)
    parser.add_argument("--cell", choices=["rnn", "gru", "lstm"], default="gru")
    parser.add_argument("--embedding", type=int, default=64)
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    import torch
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    pairs = sorted(read(options.train), key=lambda pair: (len(pair[0]), len(pair[1])))
    ids = [{"<pad>": 0}, {"<pad>": 0, "<a>": 1, "<end>": 2}]
    for pair in pairs:
        for side, known in zip(pair, ids, strict=True):
            for token in side:
                known.setdefault(token, len(known))

    def padded(rows):
        return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)

    batches = []
    for start in range(0, len(pairs), options.batch):
        sources, targets = zip(*pairs[start : start + options.batch], strict=True)
        sources = [[ids[0][token] for token in source] for source in sources]
        targets = [[ids[1][token] for token in target] for target in targets]
        inputs, labels = padded([[1, *target] for target in targets]), padded([[*target, 2] for target in targets])
        batches.append((padded(sources), torch.tensor(list(map(len, sources))), inputs, labels))
    rnn = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[options.cell]

    class Model(nn.Module):
        """The two halves."""

        def __init__(self):
            super().__init__()
            self.source = nn.Embedding(len(ids[0]), options.embedding, padding_idx=0)
            self.target = nn.Embedding(len(ids[1]), options.embedding, padding_idx=0)
            self.encoder = rnn(options.embedding, options.units, batch_first=True, bidirectional=True)
            parts = 2 if options.cell == "lstm" else 1
            self.bridges = nn.ModuleList(nn.Linear(2 * options.units, options.units) for _ in range(parts))
            self.decoder = rnn(options.embedding, options.units, batch_first=True)
            self.query = nn.Linear(options.units, options.units)
            self.keys = nn.Linear(2 * options.units, options.units, bias=False)
            self.energy = nn.Linear(options.units, 1, bias=False)
            self.combine = nn.Linear(3 * options.units, options.units, bias=False)
            self.projection = nn.Linear(options.units, len(ids[1]))

        def forward(self, source, lengths, target):
            packed = pack_padded_sequence(self.source(source), lengths, batch_first=True, enforce_sorted=False)
            outputs, state = self.encoder(packed)
            memory = pad_packed_sequence(outputs, batch_first=True)[0]
            parts = state if isinstance(state, tuple) else (state,)
            state = tuple(
                torch.tanh(bridge(torch.cat([part[0], part[1]], -1)))[None]
                for bridge, part in zip(self.bridges, parts, strict=True)
            )
            hidden = self.decoder(self.target(target), state if len(state) > 1 else state[0])[0]
            energies = torch.tanh(self.query(hidden)[:, :, None] + self.keys(memory)[:, None])
            scores = self.energy(energies).squeeze(-1).masked_fill((source == 0)[:, None], float("-inf"))
            context = torch.softmax(scores, -1) @ memory
            return self.projection(torch.tanh(self.combine(torch.cat([hidden, context], -1))))

    model, draw = Model(), random.Random(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_of = nn.CrossEntropyLoss(ignore_index=0)
    tokens = sum(len(source) + len(target) + 1 for source, target in pairs)
    for epoch in range(options.epochs):
        draw.shuffle(batches)
        start, total = time.perf_counter(), 0.0
        for source, lengths, inputs, labels in batches:
            optimizer.zero_grad()
            loss = loss_of(model(source, lengths, inputs).transpose(1, 2), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            total += loss.item()
        seconds = time.perf_counter() - start
        print(f"epoch {epoch + 1} loss {total / len(batches):.4f} {tokens / seconds:.0f} tokens/s", flush=True)


if __name__ == "__main__":
    main()
