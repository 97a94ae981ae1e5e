-- number: 3
-- question: Which user has the most followers in each country?
-- chart: bar
SELECT `country`, `poster_name`, `follower_count`
FROM (
  SELECT
    `country`,
    `poster_name`,
    `follower_count`,
    RANK() OVER (PARTITION BY `country` ORDER BY `follower_count` DESC) AS `place`
  FROM (
    -- the largest single count of a poster, never a sum over the poster's posts
    SELECT geo.`country`, pin.`poster_name`, MAX(pin.`follower_count`) AS `follower_count`
    FROM `pin` AS pin
    JOIN `geo` AS geo ON pin.`ind` = geo.`ind`
    WHERE geo.`country` IS NOT NULL AND pin.`poster_name` IS NOT NULL AND pin.`follower_count` IS NOT NULL
    GROUP BY geo.`country`, pin.`poster_name`
  ) AS posters
) AS ranked
WHERE `place` = 1
ORDER BY `country`, `poster_name`
