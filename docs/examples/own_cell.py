"""A cell of one's own: the minimal gated unit (Zhou et al., 2016), a GRU with one gate.

A cell is a layer with the contract of Keras's RNN cells: `(inputs, states) -> output, states`, one step at a time.
Encoder and decoder make one of it for each of their layers, by calling the class with the number of units.
"""

import tensorflow as tf

from keras_seq2seq import NOTEBOOK, Beam, Configuration, keras, save, train


@keras.utils.register_keras_serializable()
class MinimalGatedCell(keras.layers.Layer):
    """Mixes the old state `(batch, units)` with a new one, number by number, as the gate says."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.state_size = self.output_size = units

    def build(self, input_shape):
        shape = (input_shape[-1] + self.state_size, self.state_size)
        self.gate, self.change = (self.add_weight(name=name, shape=shape) for name in ("gate", "change"))

    def call(self, inputs, states, training=False):
        # A variable of Keras 3 is no tensor yet.
        gate = tf.sigmoid(tf.concat([inputs, states[0]], -1) @ tf.convert_to_tensor(self.gate))
        new = tf.tanh(tf.concat([inputs, gate * states[0]], -1) @ tf.convert_to_tensor(self.change))
        state = gate * new + (1 - gate) * states[0]
        return state, [state]

    def get_config(self):
        return {"units": self.state_size}


if __name__ == "__main__":
    # `train` also makes a folder for the run, under logs/. NOTEBOOK is a list of two (question, answer) pairs.
    config = Configuration(learning_rate=0.01, inspect=0, tensorboard="off")
    model = train(config, NOTEBOOK, cell=MinimalGatedCell)
    print(model.generate([question for question, _ in NOTEBOOK], Beam(5)))
    save(model, "own_cell.keras")
