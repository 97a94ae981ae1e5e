-- number: 4
-- question: Which category of posts is the most popular in each age group?
-- chart: bar
SELECT `age_group`, `category`, `category_count`
FROM (
  SELECT
    `age_group`,
    `category`,
    `category_count`,
    RANK() OVER (PARTITION BY `age_group` ORDER BY `category_count` DESC) AS `place`
  FROM (
    SELECT `age_group`, `category`, COUNT(*) AS `category_count`
    FROM (
      SELECT
        CASE
          WHEN users.`age` BETWEEN 18 AND 24 THEN '18-24'
          WHEN users.`age` BETWEEN 25 AND 35 THEN '25-35'
          WHEN users.`age` BETWEEN 36 AND 50 THEN '36-50'
          WHEN users.`age` > 50 THEN '50+'
        END AS `age_group`,
        pin.`category`
      FROM `pin` AS pin
      JOIN `user` AS users ON pin.`ind` = users.`ind`
    ) AS posts
    WHERE `age_group` IS NOT NULL AND `category` IS NOT NULL
    GROUP BY `age_group`, `category`
  ) AS counted
) AS ranked
WHERE `place` = 1
ORDER BY `age_group`, `category`
