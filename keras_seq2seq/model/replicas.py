"""What all replicas of a distribution strategy have to agree on; without a strategy there is one."""

import tensorflow as tf

from keras_seq2seq.keras_version import keras, keras_major


def sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """Returns the sum of the replicas' values, on each of them."""
    replicas = tf.distribute.get_replica_context()
    return replicas.all_reduce(tf.distribute.ReduceOp.SUM, value) if replicas.num_replicas_in_sync > 1 else value


def mean_over_replicas(tracker: keras.metrics.Mean) -> tf.Tensor:
    """Returns the mean of what all replicas have tracked, each value with its weight.

    Keras 3 shows the mean of the means of the replicas, which is another one where they have unequal parts.
    """
    total, count = sum_over_replicas(tf.identity(tracker.total)), sum_over_replicas(tf.identity(tracker.count))
    return tf.math.divide_no_nan(total, count)


def result_over_replicas(metric: keras.metrics.Metric) -> tf.Tensor:
    """Returns the result of what all replicas have tracked; the metric's variables have to be sums, as Keras's own are.

    Keras 2 adds them up by itself; Keras 3 shows the mean of the replicas' results.
    """
    if keras_major() == 2 or tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return metric.result()
    return metric.stateless_result([sum_over_replicas(tf.convert_to_tensor(part)) for part in metric.variables])


def require_supported_strategy() -> None:
    """Refuses several workers on Keras 3.

    Raises:
        NotImplementedError: this is one of them.
    """
    if keras_major() == 3 and isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
        raise NotImplementedError(
            "Keras 3 cannot train under MultiWorkerMirroredStrategy: use Keras 2 (TF_USE_LEGACY_KERAS=1)."
        )
